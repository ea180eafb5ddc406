"""Starting a module of ours as a process of its own, with nothing in it that is not ours."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process

from nodeplug.values.errors import ClusterError

# What every container is told of its cluster's API server; a helper needs nothing else.
_ENVIRONMENT = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")
# What a helper says on one line at most, in bytes.
_LINE_LIMIT = 64 * 1024


async def start(module: str, *arguments: str, limit: int = _LINE_LIMIT) -> Process:
    """Start a module with pipes to it. Raise ClusterError where there is no room for a process.

    It has the agent's rights: neither the folder nor the environment in which somebody started the
    agent may add code to it. `limit` is that of asyncio for a line.
    """
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    command = sys.executable, "-I", "-m", f"{__package__}.{module}", *arguments
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            cwd="/",
            env=environment,
            limit=limit,
        )
    except (OSError, RuntimeError) as error:  # the latter where no thread can wait for its end
        raise ClusterError(f"no process can be started: {error}") from error


def last_line(text: bytes) -> str:
    """Return what a process said last to its standard error."""
    lines = text.decode(errors="backslashreplace").strip().splitlines()
    return lines[-1].strip() if lines else "the client ended without a word"
