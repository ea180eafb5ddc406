"""What backends answer, for commands that show it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from nodeplug.backend import BackendSpec
from nodeplug.cli.options import FAILED, USAGE, report
from nodeplug.cli.tables import printable
from nodeplug.config.load import Configuration

T = TypeVar("T")


async def ask_each(
    question: Callable[[BackendSpec, Any, str], Awaitable[T]],
    specs: Mapping[str, BackendSpec],
    configuration: Configuration,
) -> tuple[dict[str, T], int]:
    """Return what each backend answers, and the exit code.

    The question takes a backend, its settings and the host's root. What is wrong with a backend,
    or with its section, is reported and harms no other.
    """
    for wrong in configuration.errors:
        report(printable(str(wrong)))
    code = USAGE if configuration.errors else 0
    usable = configuration.usable
    root = configuration.agent.host.root
    asked = [question(specs[name], settings, root) for name, settings in usable.items()]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    found: dict[str, T] = {}
    for name, answer in zip(usable, answers, strict=True):
        if isinstance(answer, Exception):
            report(printable(f"backend {name}: discovery failed: {answer!r}"))
            code = code or FAILED
        elif isinstance(answer, BaseException):
            raise answer
        else:
            found[name] = answer
    return found, code
