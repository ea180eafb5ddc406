"""What an agent does while another one of its installation serves."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from nodeplug.allocation import BackendHandle
from nodeplug.host.fallbacks import fallbacks
from nodeplug.host.host import Host
from nodeplug.supervisor import troubles
from nodeplug.supervisor.backend_runner import BackendRunner
from nodeplug.supervisor.installation import identities
from nodeplug.supervisor.node import ConfiguredBackend, Node
from nodeplug.supervisor.report import AgentReport
from nodeplug.values.inventory import Inventory
from nodeplug.values.trouble import Trouble


class Standby:
    """Looks at the hardware as it will when its turn comes, and tells nobody.

    So one whose backends would find nothing is not ready, and the former agent is left alone.
    """

    def __init__(self, backends: Sequence[ConfiguredBackend], host: Host, node: Node) -> None:
        known = identities(node.plugin_dir, node.installation, writes=False)
        host = msgspec.structs.replace(host, identities=known)
        self._runners = [BackendRunner(spec, host, self) for spec, _ in backends]
        for runner, (_, settings) in zip(self._runners, backends, strict=True):
            runner.configure(settings)

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for runner in self._runners:
                tasks.create_task(runner.run())

    def report(self, holder: str) -> AgentReport:
        """Return how the backends are, and who serves meanwhile."""
        backends = tuple(runner.report for runner in self._runners)
        found = tuple(self._troubles(holder))
        return AgentReport(
            (), backends, True, 0.0, fallbacks=fallbacks(), troubles=found, standby=True
        )

    def _troubles(self, holder: str) -> Iterator[Trouble]:
        yield troubles.of_standby(holder)
        for runner in self._runners:
            yield from troubles.of_backend(runner.report)
        yield from troubles.of_fallbacks(fallbacks())

    async def publish(self, backend: BackendHandle, inventory: Inventory) -> None:
        """Tell nobody."""

    def condemn(self, backend: BackendHandle) -> None:
        """Tell nobody."""

    async def proved(self, backend: str, settings: Any) -> None:
        """Keep nothing."""
