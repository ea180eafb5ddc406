"""What backends find on this host, asked once and beside any agent."""

import asyncio
from contextlib import aclosing
from typing import Any

from nodeplug.backend import BackendSpec
from nodeplug.host.host import Host
from nodeplug.values.inventory import Inventory

# A backend whose driver hangs must not hang a command.
SECONDS = 30.0


async def discover(
    spec: BackendSpec,
    settings: Any,
    host: Host,
    seconds: float = SECONDS,
) -> Inventory:
    """Return a backend's first inventory; raise whatever it raises, or TimeoutError."""
    backend = spec.build(settings, host, None)
    async with asyncio.timeout(seconds), aclosing(backend.inventories()) as inventories:
        return await anext(inventories)
