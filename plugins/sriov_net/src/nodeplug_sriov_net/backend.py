"""Network functions on PCI: found, watched, described to containers and to CNI plugins."""

import logging
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from functools import partial
from math import inf
from typing import Final

from nodeplug.backend import HostFile, Measurement, Omissions
from nodeplug.host.calls import call
from nodeplug.host.host import Host
from nodeplug.host.lane import Lane
from nodeplug.host.reads import Silence
from nodeplug.values.device import Device
from nodeplug.values.edits import ContainerEdits
from nodeplug.values.errors import AllocationRefusedError
from nodeplug.values.inventory import Inventory
from nodeplug_sriov_net.changes import changes
from nodeplug_sriov_net.device_info import files_of
from nodeplug_sriov_net.facts import Function
from nodeplug_sriov_net.info import envs_of
from nodeplug_sriov_net.listening import listen
from nodeplug_sriov_net.memory import Memory
from nodeplug_sriov_net.nodes import missing_node
from nodeplug_sriov_net.pools import Pools
from nodeplug_sriov_net.settings import SriovNetSettings
from nodeplug_sriov_net.survey import blind
from nodeplug_sriov_net.telemetry import measure, measured
from nodeplug_sriov_net.view import Viewer

_log = logging.getLogger("nodeplug.sriov_net")

# Core gives up after 1 s.
_MEASURE_SECONDS: Final = 0.9


class SriovNetBackend:
    """Finds what the pools select, at the start and whenever the host changes."""

    def __init__(self, settings: SriovNetSettings, host: Host, memory: Memory) -> None:
        self.memory = memory
        self._settings = settings
        self._host = host
        self._pools = {pool.name: pool for pool in settings.pools}
        self._blind = False
        self._left_out = Omissions()
        self._measuring = Lane()
        self._functions = memory.surveyed(host.root)
        self._viewer = Viewer(host.root, Pools(settings), memory)

    async def inventories(self) -> AsyncGenerator[Inventory, None]:
        """Yield what is there, and again after every change."""
        last = None
        changed: Collection[str] | None = None
        root, settings = self._host.root, self._settings
        async with (
            changes(self._host, settings.reconcile_seconds) as events,
            listen(root, settings, events.mark) as ears,
        ):
            events.hears_links = self._functions.hears_links = ears.hears_links
            silence = Silence(self._functions.reads, "sriov_net: ", partial(events.mark, ()))
            try:
                while True:
                    functions = await call(self._survey, changed, events.probing, timeout=inf)
                    silence.tell()
                    self._warn_if_blind(functions.values())
                    heard = await ears.hear(functions.values())
                    odd = self._functions.left_out
                    inventory = await call(
                        self._viewer.inventory, functions, heard, odd, timeout=inf
                    )
                    self._report(inventory)
                    if inventory != last:
                        last = inventory
                        yield inventory
                    changed = await events.wait(self._functions.read)
            finally:
                silence.close()

    async def allocate(self, resource: str, devices: Sequence[Device]) -> ContainerEdits:
        """Tell the container what it gets, under the public name, if all of it is still there."""
        for device in devices:
            address = str(device.attributes.get("pciAddress", device.id))
            if not (self._host.root.sys / "bus/pci/devices" / address).is_symlink():
                raise AllocationRefusedError(f"PCI function {address} is gone", [device.id])
            if node := missing_node(self._host.root, device):
                raise AllocationRefusedError(f"{node} of {device.id} is gone", [device.id])
        return ContainerEdits(envs=envs_of(resource, devices, self._pools))

    def host_files(self, offers: Mapping[str, Sequence[Device]]) -> Sequence[HostFile]:
        """Return the device-info files, which CNI plugins read by way of Multus."""
        return files_of(offers, self._pools)

    async def measure(self) -> Sequence[Measurement]:
        """Return state and speed of links."""
        served = self._viewer.served
        if self._functions.hears_links:
            return measured(served)
        return await self._measuring.call(
            measure, self._host.root, served, timeout=_MEASURE_SECONDS
        )

    def _report(self, inventory: Inventory) -> None:
        before, self._left_out = self._left_out, Omissions(inventory.left_out)
        self._left_out.tell(_log, before)

    def _warn_if_blind(self, functions: Collection[Function]) -> None:
        count = blind(functions)
        if count and not self._blind:
            facts = {"adapters": count, "remedy": "run in the host's network namespace"}
            _log.warning("no network device is visible", extra={"nodeplug": facts})
        self._blind = count > 0

    def _survey(
        self, changed: Collection[str] | None, probing: Collection[str]
    ) -> Mapping[str, Function]:
        with self.memory.looking:  # the look of a backend that was replaced may be on its way
            return self._functions.look(changed, {*probing})
