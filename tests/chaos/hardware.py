"""The hardware that a campaign makes for itself: nodes that can be twins, cards, an adapter."""

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nodeplug.testing import ContainerRun
from nodeplug_intel_fpga.ids import af_resource, region_resource
from nodeplug_intel_fpga.simulator import A10, FILTER, LOOPBACK, S10
from nodeplug_sriov_net.adapters import address_of, function_place, intel_adapter
from nodeplug_sriov_net.simulator import SriovNetSimulator, pool

TWIN = "example.com/twin"
TWINS = ("twin-0", "twin-1")
ADAPTER, FUNCTION = "chaos.example.com/adapter", "chaos.example.com/function"
# Linux, Documentation/admin-guide/devices.txt: for local use, so no driver has them.
_MAJOR, _CARDS_MAJOR = 240, 241


class Nodes:
    """Nodes `/dev/board-<n>` of their own numbers, and twins of them that come and go.

    Where this process may not make nodes they are files, and twins are hard links.
    """

    def __init__(self, dev: Path, boards: int) -> None:
        self._dev = dev
        self._left = ""
        self.boards = [f"board-{number}" for number in range(boards)]
        for number, name in enumerate(self.boards):
            _make(dev / name, number)

    @property
    def kind(self) -> str:
        """What the custom backend calls them."""
        return "char" if (self._dev / self.boards[0]).is_char_device() else "file"

    def identity(self, name: str) -> str:
        """Return what a driver would go by; "" where nothing is."""
        try:
            found = (self._dev / name).stat()
        except FileNotFoundError:
            return ""
        return str(found.st_rdev if stat.S_ISCHR(found.st_mode) else (found.st_dev, found.st_ino))

    def leads(self, name: str) -> str:
        """Return the name of the node that one leads to."""
        path = self._dev / name
        return str(path.readlink()) if path.is_symlink() else name

    def twins(self) -> list[str]:
        """Return those that are there."""
        return [name for name in TWINS if os.path.lexists(self._dev / name)]

    def links(self) -> list[str]:
        """Return the twins that are links."""
        return [name for name in TWINS if (self._dev / name).is_symlink()]

    def linkable(self) -> list[str]:
        """Return the boards that a new link may lead to.

        To that which the last one led to it may not: where no look falls between the two, the
        thing was never away and keeps its id.
        """
        return [board for board in self.boards if board != self._left]

    def copy(self, name: str, board: str) -> None:
        """Make a twin that is another node of the same number."""
        found = (self._dev / board).stat()
        if stat.S_ISCHR(found.st_mode):
            os.mknod(self._dev / name, found.st_mode, found.st_rdev)
        else:
            (self._dev / name).hardlink_to(self._dev / board)

    def link(self, name: str, board: str) -> None:
        """Make a twin that is a link, or let it lead to another board, at once."""
        temporary = self._dev / f".{name}"
        temporary.symlink_to(board)
        temporary.rename(self._dev / name)

    def remove(self, name: str) -> None:
        """Let a twin go."""
        if name in self.links():
            self._left = self.leads(name)
        (self._dev / name).unlink()

    def swap(self, one: str, other: str) -> None:
        """Exchange the names of two boards, as the next boot may."""
        (self._dev / one).rename(self._dev / ".swap")
        (self._dev / other).rename(self._dev / one)
        (self._dev / ".swap").rename(self._dev / other)


class Cards:
    """The simulated FPGA cards as the campaign knows them: by mode, resource and device."""

    def __init__(self) -> None:
        ids = ("e1:00.0-port0", "e3:00.1-port0", "e3:00.2-port1", "e4:00.0-port0")
        single: dict[str, tuple[str, ...]] = {f"fpga-0000:{i}": (i,) for i in ids}
        one, other = (f"fpga-0000:e2:00.0-port{number}" for number in range(2))
        self.modes: Mapping[str, Mapping[str, Mapping[str, tuple[str, ...]]]] = {
            "af": {
                af_resource(A10, LOOPBACK): single,
                af_resource(S10, FILTER): {one: (one,), other: (other,)},
            },
            "region": {
                region_resource(A10): single,
                region_resource(S10): {one: (one, other)},
            },
        }
        self.mode = "af"

    @property
    def names(self) -> list[str]:
        """All resources of all modes."""
        return [name for mode in self.modes.values() for name in mode]

    def devices(self, resource: str) -> set[str]:
        """Return the ids of a resource in this mode."""
        return {*self.modes[self.mode].get(resource, ())}

    def ports(self, resource: str, device_id: str) -> frozenset[str]:
        """Return what a device consists of, whatever the mode is now."""
        found: Mapping[str, tuple[str, ...]] = {}
        for mode in self.modes.values():
            found = mode.get(resource, found)
        return frozenset(f"port {each}" for each in found.get(device_id, ()))


class Adapter:
    """A network adapter that has virtual functions at times, and else is a device itself."""

    def __init__(self, simulator: SriovNetSimulator) -> None:
        self._tree = simulator.tree
        self._number = 5
        self.address = address_of(self._number)
        self.functions = [address_of(self._number, index) for index in range(2)]
        self.split = False
        intel_adapter(self._tree, self._number, functions=0)

    @property
    def pools(self) -> list[dict[str, Any]]:
        """What is configured for it, before all others."""
        return [
            pool(ADAPTER, pciAddresses=[self.address]),
            pool(FUNCTION, pciAddresses=self.functions),
        ]

    def devices(self, resource: str) -> set[str]:
        """Return the ids that are there."""
        if resource == ADAPTER:
            return set() if self.split else {self.address}
        return {*self.functions} if self.split else set()

    def parts(self, device_id: str) -> frozenset[str]:
        """Return what a device consists of: the adapter, of all its functions."""
        return frozenset(self.functions if device_id == self.address else [device_id])

    def toggle(self) -> None:
        """Make the functions, or let them go."""
        self.split = not self.split
        if self.split:
            intel_adapter(self._tree, self._number, functions=len(self.functions))
        for index in range(len(self.functions)):
            self._tell(index)
        self._tree.tell("change", function_place(self._number))

    def _tell(self, index: int) -> None:
        place = function_place(self._number, index)
        owner = function_place(self._number)
        if not self.split:
            self._tree.path(f"/sys{owner}/virtfn{index}").unlink()
            self._tree.put(owner, sriov_numvfs=0)
            self._tree.remove(place)
        self._tree.tell("add" if self.split else "remove", place)


class Hardware:
    """All of it, and what hardware an id of a resource leads to now."""

    def __init__(self, host_root: Path, boards: int, sriov: SriovNetSimulator) -> None:
        self.nodes = Nodes(host_root / "dev", boards)
        self.cards = Cards()
        self.adapter = Adapter(sriov)
        self._boot = host_root / "proc/sys/kernel/random/boot_id"
        self._boots = 0

    @property
    def names(self) -> list[str]:
        """The resources that the campaign has besides."""
        return [TWIN, ADAPTER, FUNCTION, *self.cards.names]

    def configure(self, sections: dict[str, Mapping[str, Any]]) -> None:
        """Add what the backends must be told."""
        custom = sections["custom"]
        devices = [{"path": "/dev/twin-*", "type": self.nodes.kind}]
        twin = {"name": TWIN, "devices": devices}
        sections["custom"] = {**custom, "resources": [*custom["resources"], twin]}
        sriov = sections["sriov_net"]
        sections["sriov_net"] = {**sriov, "pools": [*self.adapter.pools, *sriov["pools"]]}
        sections["intel_fpga"] = {**sections["intel_fpga"], "mode": self.cards.mode}

    def devices(self, resource: str) -> set[str]:
        """Return the ids of one of its resources."""
        if resource == TWIN:
            return {f"dev:{name}" for name in self.nodes.twins()}
        if resource in {ADAPTER, FUNCTION}:
            return self.adapter.devices(resource)
        return self.cards.devices(resource)

    def parts(self, resource: str, device_id: str) -> frozenset[str]:
        """Return what hardware a device is."""
        if device_id.startswith("awk-"):
            return frozenset({self.nodes.identity(device_id.removeprefix("awk-"))})
        if resource == TWIN:
            return frozenset({self.nodes.identity(device_id.removeprefix("dev:"))} - {""})
        if resource in {ADAPTER, FUNCTION}:
            return self.adapter.parts(device_id)
        return self.cards.ports(resource, device_id) or frozenset({f"id {device_id}"})

    def node(self, resource: str, device_id: str) -> str:
        """Return the node that a device leads to now; "" for what has no other ever."""
        return self.nodes.leads(device_id.removeprefix("dev:")) if resource == TWIN else ""

    def given(self, resource: str, device_id: str, run: ContainerRun) -> str:
        """Return likewise the node that a container was given: what it led to shortly before."""
        if resource != TWIN:
            return ""
        path = f"/dev/{device_id.removeprefix('dev:')}"
        return Path((run.devices.get(path) or run.mounts[path]).host_path).name

    def boot(self) -> None:
        """Let the kernel be another one: /dev is made anew, without copies."""
        self._boots += 1
        self._boot.parent.mkdir(parents=True, exist_ok=True)
        self._boot.write_text(f"boot-{self._boots}\n")
        for name in {*self.nodes.twins()} - {*self.nodes.links()}:
            self.nodes.remove(name)


def number_cards(host_root: Path) -> None:
    """Give the nodes of simulated cards numbers that no other simulator has.

    Theirs are of memory devices, which harm nobody; so are those of others.
    """
    for minor, file in enumerate(sorted(host_root.glob("sys/devices/**/uevent"))):
        facts = dict(line.split("=") for line in file.read_text().split())
        node = host_root / "dev" / facts.get("DEVNAME", "")
        if node.is_char_device():
            node.unlink()
            os.mknod(node, stat.S_IFCHR | 0o600, os.makedev(_CARDS_MAJOR, minor))
            facts |= {"MAJOR": str(_CARDS_MAJOR), "MINOR": str(minor)}
            file.write_text("".join(f"{name}={value}\n" for name, value in facts.items()))


def _make(path: Path, number: int) -> None:
    with suppress(FileExistsError):
        try:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(_MAJOR, number))
        except PermissionError:
            path.touch(exist_ok=False)
