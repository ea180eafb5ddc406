"""What backends answer, for commands that show it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from nodeplug.backend import BackendSpec
from nodeplug.cli.options import FAILED, USAGE, report
from nodeplug.cli.tables import printable
from nodeplug.config.load import Configuration
from nodeplug.config.settings import AgentSettings
from nodeplug.offers import Offer
from nodeplug.operations.rules import offered
from nodeplug.quarantine import isolate
from nodeplug.values.inventory import Inventory

T = TypeVar("T")


class Shown(NamedTuple):
    """What a backend has, sick where it is quarantined, and its offers by public name."""

    inventory: Inventory
    offers: Mapping[str, Offer]


def shown(agent: AgentSettings, found: Mapping[str, Inventory]) -> Iterator[tuple[str, Shown]]:
    """Yield what backends with these inventories offer; report what they want in vain."""
    isolated = {name: isolate(inventory, agent.quarantine) for name, inventory in found.items()}
    for name, advertised in offered(agent, isolated):
        for refusal in advertised.refusals:
            report(printable(refusal.detail))
        yield name, Shown(isolated[name], advertised.offers)


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
