"""Cards made of files, as either driver shows them."""

import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from nodeplug.host.nodes import node_type
from nodeplug_intel_fpga.layouts import Layout

# Linux, drivers/char/mem.c: null, zero and full do no harm to who opens them, nor do numbers that
# nobody has (ENXIO). Nodes of one number would be one device.
_MAJOR: Final = 1
_MINORS: Final = (3, 5, 7, *range(16, 256))


class Port:
    """A simulated port; `folder` is its folder in sysfs, `node` its device node."""

    def __init__(self, folder: Path, node: Path) -> None:
        self.folder = folder
        self.node = node

    def load(self, afu: str) -> None:
        """Let the port tell of another AFU."""
        write(self.folder / "afu_id", f"{afu}\n")


class Card:
    """A simulated PCI function: `engine` and `interfaces` are there for a physical one."""

    def __init__(self, address: str, folder: Path, place: Path) -> None:
        self.address = address
        self.folder = folder
        self.place = place
        self.engine = folder
        self.interfaces: list[Path] = []
        self.ports: list[Port] = []


class Cards:
    """Makes cards below a folder that stands for the host's root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.nodes = True
        self._numbers: dict[str, int] = {}
        self._minors: dict[str, int] = {}
        write(root / "proc/sys/kernel/random/boot_id", "a-boot\n")

    def add(
        self,
        layout: Layout,
        address: str,
        *,
        ids: tuple[str, str] = ("0x8086", "0x09c4"),
        interfaces: Sequence[str],
        afus: Mapping[int, str],
    ) -> Card:
        """Make a physical function with its engine; `afus` are those of its ports, by number."""
        card = self._function(layout, address, ids, self._bridge(address))
        card.engine = self._part(card.place, layout.fme)
        self._engine(layout, card, interfaces)
        self._ports(layout, card, afus)
        return card

    def add_virtual(
        self, layout: Layout, address: str, physical: Card, *, afus: Mapping[int, str]
    ) -> Card:
        """Make a virtual function of a card."""
        card = self._function(layout, address, ("0x8086", "0x09c5"), physical.folder.parent)
        write(card.folder / "config", b"\xff" * 4)
        _link(card.folder / "physfn", physical.folder)
        _link(physical.folder / f"virtfn{len([*physical.folder.glob('virtfn*')])}", card.folder)
        self._ports(layout, card, afus)
        return card

    def _bridge(self, address: str) -> Path:
        bus = address.split(":")[1]
        return self.root / f"sys/devices/pci0000:{bus}/0000:{bus}:1f.0"

    def _function(self, layout: Layout, address: str, ids: tuple[str, str], above: Path) -> Card:
        folder = above / address
        texts = {"vendor": ids[0], "device": ids[1], "class": "0x120000", "numa_node": "0"}
        for name, text in texts.items():
            write(folder / name, f"{text}\n")
        write(folder / "config", b"\x86\x80\xc4\x09")
        driver = self.root / "sys/bus/pci/drivers" / layout.driver
        driver.mkdir(parents=True, exist_ok=True)
        _link(folder / "driver", driver)
        _link(self.root / "sys/bus/pci/devices" / address, folder)
        name = self._numbered(layout.folder)
        place = folder / layout.folders / name
        place.mkdir(parents=True, exist_ok=True)
        _link(self.root / "sys/class" / layout.folders / name, place)
        return Card(address, folder, place)

    def _engine(self, layout: Layout, card: Card, interfaces: Sequence[str]) -> None:
        write(card.engine / "bitstream_id", "0x123000200000185\n")
        for register in layout.registers:
            write(card.engine / register, "0x0\n")
        for pattern in (*layout.alarms, layout.temperature[0], layout.power[0]):
            write(card.engine / pattern.replace("*", "0"), "0\n")
        for (pattern, factor), value in ((layout.temperature, 52), (layout.power, 31)):
            write(card.engine / pattern.replace("*", "0"), f"{round(value / factor)}\n")
        for interface in interfaces:
            file = self._interface_file(layout, card)
            write(file, f"{interface}\n")
            card.interfaces.append(file)

    def _interface_file(self, layout: Layout, card: Card) -> Path:
        if "*" not in layout.interfaces:
            return card.engine / layout.interfaces
        region = self._numbered(layout.folder)
        engine_region = self._numbered("dfl-fme-region.")
        folder = card.engine / engine_region / "fpga_region" / region
        folder.mkdir(parents=True, exist_ok=True)
        _link(self.root / "sys/class" / layout.folders / region, folder)
        return folder / "compat_id"

    def _ports(self, layout: Layout, card: Card, afus: Mapping[int, str]) -> None:
        for number, afu in afus.items():
            folder = self._part(card.place, layout.port)
            port = Port(folder, self.root / "dev" / folder.name)
            card.ports.append(port)
            port.load(afu)
            for name, text in {"id": number, "errors/errors": "0x0", "power_state": "0x0"}.items():
                write(folder / name, f"{text}\n")

    def _part(self, place: Path, prefix: str) -> Path:
        folder = place / self._numbered(prefix)
        minor = self.make_node(folder.name)
        lines = (f"MAJOR={_MAJOR}", f"MINOR={minor}", f"DEVNAME={folder.name}", "")
        write(folder / "uevent", "\n".join(lines))
        return folder

    def make_node(self, name: str) -> int:
        """Make a device node, or a plain file where this process may not; return its number.

        The first three can be opened.
        """
        minor = self._minors.setdefault(name, _MINORS[len(self._minors)])
        node = self.root / "dev" / name
        node.parent.mkdir(parents=True, exist_ok=True)
        try:
            with suppress(FileExistsError):
                os.mknod(node, stat.S_IFCHR | 0o600, os.makedev(_MAJOR, minor))
        except PermissionError:
            node.touch()
        self.nodes = self.nodes and node_type(node) == "char"
        return minor

    def _numbered(self, prefix: str) -> str:
        number = self._numbers[prefix] = self._numbers.get(prefix, -1) + 1
        return f"{prefix}{number}"


def write(file: Path, content: str | bytes) -> None:
    """Write a file, and make the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        link.symlink_to(os.path.relpath(target, link.parent))
