"""One look at the host: what is there, what becomes of it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from nodeplug.backend import Omissions
from nodeplug.host.root import HostRoot
from nodeplug.values.device import Device
from nodeplug.values.inventory import Inventory
from nodeplug_intel_fpga.devices import device_of
from nodeplug_intel_fpga.facts import PortFacts
from nodeplug_intel_fpga.gauges import Gauges
from nodeplug_intel_fpga.memory import Memory
from nodeplug_intel_fpga.settings import FpgaSettings
from nodeplug_intel_fpga.shares import Share, Shares, shares
from nodeplug_intel_fpga.sightings import sightings
from nodeplug_intel_fpga.state import State
from nodeplug_intel_fpga.survey import survey


class View(NamedTuple):
    """The devices, what each is made of by its id, and why other things are no devices.

    `known` is what ports are like when they are well, `gauges` are the sensors by card.
    """

    inventory: Inventory
    shares: Mapping[str, Share]
    left_out: Omissions
    known: Mapping[str, PortFacts]
    gauges: Mapping[str, Gauges]


def first_look(root: HostRoot, settings: FpgaSettings) -> View:
    """Look with what an agent before this one wrote down. Blocks."""
    memory = Memory()
    memory.recall(*State(root, settings.state_dir).read())
    return look(root, settings, memory)


def look(root: HostRoot, settings: FpgaSettings, memory: Memory) -> View:
    """Look at all cards. Blocks; a broken card affects only itself."""
    seen = survey(root)
    with memory.reads:
        found = sightings(root, seen, memory.reads)
    settled = memory.settle(root, found.ports, found.silent)
    shared = shares(settled.ports, settings)
    left_out = Omissions(seen.troubles | settled.left_out | shared.left_out)
    devices = [*_devices(shared, settings, left_out)]
    names = [each.name for each in settings.programming]
    inventory = Inventory.of(devices, resources=names, prepared=names)
    return View(
        replace(inventory, left_out=left_out),
        {share.first.id: share for share in shared.shares},
        left_out,
        memory.known,
        found.gauges,
    )


def _devices(shared: Shares, settings: FpgaSettings, left_out: Omissions) -> Iterator[Device]:
    for share in shared.shares:
        with left_out.alone(share.first.key):
            yield device_of(share, settings.health.ignore)
