"""One look at the host: what is there, what becomes of it."""

from collections.abc import Mapping
from typing import NamedTuple

from nodeplug.host.root import HostRoot
from nodeplug.values.device import Device
from nodeplug.values.errors import InvalidValueError
from nodeplug.values.inventory import Inventory
from nodeplug_intel_fpga.devices import device_of
from nodeplug_intel_fpga.facts import PortFacts
from nodeplug_intel_fpga.memory import Memory
from nodeplug_intel_fpga.settings import FpgaSettings
from nodeplug_intel_fpga.shares import Share, Shares, shares
from nodeplug_intel_fpga.sightings import sightings
from nodeplug_intel_fpga.state import State
from nodeplug_intel_fpga.survey import survey


class View(NamedTuple):
    """The devices, what each is made of by its id, and why other things are no devices."""

    inventory: Inventory
    shares: Mapping[str, Share]
    left_out: Mapping[str, str]
    known: Mapping[str, PortFacts]


def first_look(root: HostRoot, settings: FpgaSettings) -> View:
    """Look with what an agent before this one wrote down. Blocks."""
    memory = Memory()
    memory.recall(*State(root, settings.state_dir).read())
    return look(root, settings, memory)


def look(root: HostRoot, settings: FpgaSettings, memory: Memory) -> View:
    """Look at all cards. Blocks; a broken card affects only itself."""
    seen = survey(root)
    settled = memory.settle(root, sightings(root, seen))
    shared = shares(settled.ports, settings)
    devices, odd = _devices(shared, settings)
    programmed = [each.name for each in settings.programming]
    return View(
        Inventory.of(devices, resources=programmed, prepared=programmed),
        {share.first.id: share for share in shared.shares},
        seen.troubles | settled.left_out | shared.left_out | odd,
        memory.known,
    )


def _devices(shared: Shares, settings: FpgaSettings) -> tuple[list[Device], dict[str, str]]:
    """Return the devices, and what cannot be one, for the kernel says odd things of it."""
    devices, odd = [], {}
    for share in shared.shares:
        try:
            devices.append(device_of(share, settings.health.ignore))
        except InvalidValueError as error:
            odd[share.first.key] = str(error)
    return devices, odd
