"""Simulated FPGA cards for tests, and shorthand to look at them."""

from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec

from nodeplug.host.host import Host, open_host
from nodeplug.values.device import Device
from nodeplug.values.inventory import Inventory
from nodeplug_intel_fpga.backend import FpgaBackend
from nodeplug_intel_fpga.layouts import DFL, OPAE, Layout
from nodeplug_intel_fpga.memory import Memory
from nodeplug_intel_fpga.settings import FpgaSettings
from nodeplug_intel_fpga.simulated_cards import Card, Cards

INTERFACE = "69528db6eb31577a8c3668f9faa081f6"
OTHER_INTERFACE = "9346116da52d4ca8b06aa9a389ef7c8d"
AFU = "d8424dc4a4a3c413f89e433683f9040b"
OTHER_AFU = "56e203e9864f49a7b94b12284c31e02b"
AF = "fpga.intel.com/af-695.d84.aVKNtusxV3qMNmj5-qCB9thCTcSko8QT-J5DNoP5BAs"
REGION = f"fpga.intel.com/region-{INTERFACE}"
NOBODY = "f" * 32

ADDRESS = "0000:e1:00.0"
FIRST = f"fpga-{ADDRESS}-port0"

LAYOUTS = {"dfl": DFL, "opae": OPAE}


class FpgaHost:
    """A host made of files; `cards` adds cards to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "uevents.sock"
        self.cards = Cards(folder)
        probe = Cards(folder)
        probe.make_node("probe")  # to know whether this process may
        self.cards.nodes = probe.nodes

    @property
    def host(self) -> Host:
        return open_host(str(self.folder), str(self.socket))

    def card(
        self,
        *afus: str,
        address: str = ADDRESS,
        layout: Layout = DFL,
        interfaces: tuple[str, ...] = (INTERFACE,),
    ) -> Card:
        """Add a card with these AFUs in its ports, one port with the usual AFU if none."""
        loaded = dict(enumerate(afus or (AFU,)))
        return self.cards.add(layout, address, interfaces=interfaces, afus=loaded)

    def settings(self, **values: Any) -> FpgaSettings:
        """Return settings that work without root too: device nodes are plain files then."""
        if not self.cards.nodes:
            values.setdefault("health", {"ignore": ["node"]})
        return msgspec.convert(values, FpgaSettings)

    def backend(self, memory: Memory | None = None, **values: Any) -> FpgaBackend:
        return FpgaBackend(self.settings(**values), self.host, memory)

    async def inventory(self, memory: Memory | None = None, **values: Any) -> Inventory:
        """Return the first inventory of a backend that is then stopped."""
        async with aclosing(self.backend(memory, **values).inventories()) as inventories:
            return await anext(inventories)

    async def devices(self, memory: Memory | None = None, **values: Any) -> dict[str, Device]:
        return dict((await self.inventory(memory, **values)).devices)


def nodes(device: Device) -> list[str]:
    """Return the names of the device nodes that containers get with a device."""
    assert all(node.permissions == "rw" for node in device.edits.nodes)
    return [node.host_path.removeprefix("/dev/") for node in device.edits.nodes]
