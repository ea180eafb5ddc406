"""What backends find on this host, asked once and beside any agent."""

import asyncio
from contextlib import aclosing
from typing import Any

from nodeplug.backend import BackendSpec
from nodeplug.host.host import open_host
from nodeplug.host.identities import Identities
from nodeplug.values.inventory import Inventory

# A backend whose driver hangs must not hang a command.
SECONDS = 30.0


async def discover(
    spec: BackendSpec,
    settings: Any,
    root: str,
    seconds: float = SECONDS,
    known: Identities | None = None,
) -> Inventory:
    """Return a backend's first inventory below a root; raise what it raises, or TimeoutError.

    Its host is its own: events of a simulated one are left to the agent. `known` are the ids that
    the agent remembers.
    """
    backend = spec.build(settings, open_host(root, identities=known), None)
    async with asyncio.timeout(seconds), aclosing(backend.inventories()) as inventories:
        return await anext(inventories)
