"""Who reaches the agent over the network: clients of its port, and the API server."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nodeplug.testing.patience import patience
from support.api_server import ApiServer, api_server
from support.limited import with_memory
from support.watched import Watch, exchange, free_port

_ANNOTATION = "nodeplug.io/quarantine"
_SECONDS = 10.0
# Every agent runs it at its start: another service account, another interpreter for helpers, and
# less patience than a cluster deserves.
_PLANTED = """
import sys

if "run" in sys.orig_argv:
    from nodeplug.cli.lean import slim

    slim()
    from pathlib import Path

    from nodeplug.operations.cluster import annotated, announcer, courier
    from nodeplug.supervisor import offering

    courier.ACCOUNT = Path({account!r})
    sys.executable = {python!r}
    annotated._SHORTEST_PAUSE, annotated._LONGEST_PAUSE = 0.2, 0.5
    announcer.BATCH_SECONDS, announcer._LONGEST_PAUSE = 1.0, 2.0
    offering._RETRY_SECONDS = 1.0
"""


class Outside:
    """An API server, the port of the agent, and how much memory its helpers have."""

    def __init__(self, folder: Path, server: ApiServer) -> None:
        self.server = server
        self.watch = Watch(free_port())
        self._folder = folder
        self.give_memory()

    @property
    def planted(self) -> str:
        """What every agent runs at its start."""
        account, python = str(self.server.account), str(self._folder / "python")
        return _PLANTED.format(account=account, python=python)

    @property
    def settings(self) -> Mapping[str, object]:
        """What of the agent's configuration is for those outside."""
        return {
            "metrics": {"address": "127.0.0.1", "port": self.watch.port, "perDevice": True},
            "cluster": {
                "events": True,
                "condition": True,
                "quarantineAnnotation": _ANNOTATION,
            },
        }

    @property
    def environment(self) -> Mapping[str, str]:
        """What an agent in a pod is told."""
        return {**self.server.environment, "NODE_NAME": "node-1"}

    def annotate(self, value: str | None) -> None:
        """Change the annotation that the agent follows."""
        self.server.annotate(**{_ANNOTATION: value})

    def give_memory(self, kibibytes: int | None = None) -> None:
        """Let helpers that start from now on have so much memory; all that they like without."""
        if kibibytes is None:
            python = self._folder / "python"
            python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
            python.chmod(0o700)
        else:
            with_memory(kibibytes, self._folder)

    async def is_alive(self) -> None:
        """Ask as the kubelet's liveness probe does; raise where it would end the agent."""
        async with patience(_SECONDS, times=1):
            answer = await exchange(self.watch.port, b"GET /healthz HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer


@contextmanager
def outside_of(folder: Path) -> Iterator[Outside]:
    """Run an API server, and give what else is outside."""
    own = folder / "outside"
    own.mkdir()
    with api_server(own) as server:
        yield Outside(own, server)


def settings_of(outside: Outside | None) -> Mapping[str, object]:
    """Return what a configuration says of those outside; nothing is open where there are none."""
    return outside.settings if outside else {"metrics": {"enabled": False}}
