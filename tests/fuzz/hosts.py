"""Hosts with several devices, of which one turns odd: the others must stay as they are."""

import asyncio
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from fuzz.engine import Feed
from fuzz.spoiling import spoil_answers, spoil_files
from nodeplug.backend import Backend, BackendSpec
from nodeplug.host.host import open_host
from nodeplug.testing.patience import patience
from nodeplug.values.device import Device
from nodeplug.values.inventory import Inventory
from nodeplug_custom.plugin import SPEC as CUSTOM
from nodeplug_intel_fpga.plugin import SPEC as FPGA
from nodeplug_intel_fpga.simulator import FpgaSimulator
from nodeplug_nvidia_gpu.devices import Maker
from nodeplug_nvidia_gpu.drivers import driver_for
from nodeplug_nvidia_gpu.health import HealthBook
from nodeplug_nvidia_gpu.injection import Injection
from nodeplug_nvidia_gpu.looking import Looker
from nodeplug_nvidia_gpu.plugin import SPEC as NVIDIA
from nodeplug_nvidia_gpu.rules import Rules
from nodeplug_nvidia_gpu.surroundings import Surveyor
from nodeplug_sriov_net.adapters import (
    dpu,
    function_place,
    intel_adapter,
    mellanox_adapter,
)
from nodeplug_sriov_net.plugin import SPEC as SRIOV
from nodeplug_sriov_net.simulator import pool
from nodeplug_sriov_net.trees import Tree
from support import fpga_host, nvml_host, sriov_host
from support.custom_host import several
from support.hardware_tree import HardwareTree
from support.nvml_library import compiled

LOOK_SECONDS = 20.0
_GPUS = 4


class Part(NamedTuple):
    """One of several pieces of hardware: what makes it odd, and which devices are its own."""

    spoil: Callable[[random.Random], None]
    owns: Callable[[Device], bool]


class Eyes(Protocol):
    """What looks at a host again and again, and remembers what it saw."""

    async def look(self) -> Inventory: ...


class Scene(NamedTuple):
    """A host whose parts are all well, what makes eyes to look at it, and who explains it."""

    parts: Sequence[Part]
    eyes: Callable[[], Eyes]
    spec: BackendSpec
    settings: Any


class BackendEyes:
    """Looks by a backend's first inventory; the next backend follows the one before."""

    def __init__(self, spec: BackendSpec, settings: Any, root: Path) -> None:
        self._build = partial(spec.build, settings, open_host(str(root), f"{root}/uevents.sock"))
        self._backend: Backend | None = None

    async def look(self) -> Inventory:
        self._backend = self._build(self._backend)
        async with patience(LOOK_SECONDS), aclosing(self._backend.inventories()) as found:
            return await anext(found)


class NvidiaEyes:
    """Looks as the threads of the backend do, without their pauses."""

    def __init__(self, settings: Any, root: Path) -> None:
        host_root = open_host(str(root)).root
        self._surveyor = Surveyor(host_root, settings)
        self._looker = Looker(driver_for(settings, host_root), self._surveyor.plugged)
        self._maker = Maker(settings, Injection(settings))
        self._rules = Rules.of(settings.health, {})
        self._book = HealthBook()
        self._looks = 0

    async def look(self) -> Inventory:
        self._looks += 1
        view = self._looker.look()
        self._book.see(view, self._rules, self._looks)
        around = self._surveyor.look(view.gpus)
        return self._maker.inventory(view, around, self._book)


def cameras(root: Path) -> Scene:
    """Make USB devices with nodes below them, PCI functions, and nodes by path."""
    tree = HardwareTree(root)
    parts = []
    for number in range(3):
        usb = tree.usb(f"1-{number + 2}", serial=f"CAM{number}", number=number + 2)
        tree.node(usb, "video4linux", f"video{number}", interface="1.0", index="0")
        parts.append(_part(root, usb, f"CAM{number}"))
        pci = tree.vfio(f"0000:00:0{number + 3}.0", number + 7)
        parts.append(_part(root, pci, f"0000:00:0{number + 3}.0"))
        above = tree.pci(f"0000:01:0{number + 3}.0", ids="1af4:1000")
        tree.node(above, "misc", f"node{number}")
        parts.append(_part(root, above, f"dev:node{number}"))
    camera = {"usb": {"vendor": "046d"}, "udev": {"subsystem": "video4linux"}}
    well = {"health": {"driver": "vfio-pci", "attributes": {"class": "0x03*"}}}
    settings = several(
        {"name": "example.com/camera", "hardware": [camera]},
        {"name": "example.com/card", "hardware": [{"pci": {"vendor": "8086"}, **well}]},
        {"name": "example.com/node", "devices": [{"path": "/dev/node*", "type": "char"}]},
    )
    return Scene(parts, partial(BackendEyes, CUSTOM, settings, root), CUSTOM, settings)


def cards(root: Path) -> Scene:
    """Make the simulated FPGA cards."""
    simulator = FpgaSimulator(root)
    settings = fpga_host.FpgaHost(root).settings(**dict(simulator.settings))
    parts = [_bus(root, bus) for bus in ("pci0000:e1", "pci0000:e2", "pci0000:e3", "pci0000:e4")]
    return Scene(parts, partial(BackendEyes, FPGA, settings, root), FPGA, settings)


def adapters(root: Path) -> Scene:
    """Make an adapter of each kind; one part is a whole one or a virtual function."""
    tree = Tree(root)
    intel_adapter(tree, 0, functions=2)
    intel_adapter(tree, 1, functions=2, driver="vfio-pci")
    mellanox_adapter(tree, 2, functions=2)
    dpu(tree, 3, subs=2)
    subs = {**pool("example.com/sub", auxTypes=["sf"]), "deviceType": "auxNetDevice"}
    settings = sriov_host.settings(
        pool("example.com/kernel", vendors=["8086"], drivers=["iavf"]),
        pool("example.com/user", vendors=["8086"], drivers=["vfio-pci"]),
        pool("example.com/rdma", devices=["101e"], isRdma=True),
        subs,
    )
    whole = [_bus(root, function_place(number).split("/")[2]) for number in range(4)]
    places = [function_place(number, index) for number in (0, 1, 2) for index in (0, 1)]
    functions = [_part(root, place, place.rpartition("/")[2]) for place in places]
    return Scene([*whole, *functions], partial(BackendEyes, SRIOV, settings, root), SRIOV, settings)


def gpus(library: Path, root: Path) -> Scene:
    """Make GPUs that the stand-in for NVIDIA's library tells of, one of them in MIG mode."""
    host = nvml_host.NvmlHost(root, library, _GPUS)
    slots = [host.plug(number).resolve() for number in range(_GPUS)]
    host.cut(1, "1g.5gb", "2g.10gb")
    host.install()
    settings = nvml_host.settings(migStrategy="mixed", passDeviceSpecs=True)
    parts = []
    for number, slot in enumerate(slots):
        owns = partial(_is_of_gpu, nvml_host.uuid(number))
        parts.append(Part(partial(spoil_answers, host.state.gpus[number]), owns))
        parts.append(Part(partial(spoil_files, slot), owns))
    return Scene(parts, partial(NvidiaEyes, settings, root), NVIDIA, settings)


def _is_of_gpu(uuid: str, device: Device) -> bool:
    return uuid in {device.id, device.parent}


def _part(root: Path, devpath: str, mark: str) -> Part:
    return Part(partial(spoil_files, root / f"sys{devpath}"), lambda device: mark in device.id)


def _bus(root: Path, bus: str) -> Part:
    place = root / "sys/devices" / bus
    return Part(partial(spoil_files, place), lambda device: device.location[:1] == (bus,))


@contextmanager
def library() -> Iterator[Path]:
    """Give the stand-in for NVIDIA's library."""
    with tempfile.TemporaryDirectory() as folder:
        yield compiled(Path(folder))


@contextmanager
def feed(make: Callable[[Path], Scene]) -> Iterator[Feed]:
    """Look at a host before and after one part of it turns odd. An input is a seed."""
    with tempfile.TemporaryDirectory(prefix="npf", dir="/tmp") as folder:
        yield partial(_spoil_one, make, Path(folder) / "host")


@contextmanager
def feed_gpus() -> Iterator[Feed]:
    """Do the same with NVIDIA's GPUs."""
    with library() as file, feed(partial(gpus, file)) as fed:
        yield fed


def _spoil_one(make: Callable[[Path], Scene], root: Path, data: bytes) -> str:
    dice = random.Random(data)
    root.mkdir()
    try:
        return asyncio.run(_look_twice(make(root), root, dice))
    finally:
        shutil.rmtree(root)


async def _look_twice(scene: Scene, root: Path, dice: random.Random) -> str:
    """Look before and after, by one who remembers or by another, and explain what there is."""
    part, first = dice.choice(scene.parts), scene.eyes()
    before = await first.look()
    sound = {d.id: d for d in before.devices.values() if not part.owns(d)}
    assert before.devices.keys() > sound.keys(), "the part has no device"
    assert all(device.healthy for device in before.devices.values())
    part.spoil(dice)
    after = await (first if dice.randrange(2) else scene.eyes()).look()
    for device_id, device in sound.items():
        assert _told(after.devices.get(device_id)) == _told(device), device_id
    if not dice.randrange(4):
        await _inspect(scene, root)
    return f"{len(after.devices) - len(sound)} odd devices, {len(after.left_out)} left out"


def _told(device: Device | None) -> object:
    """Return what may not change of a device because another one has."""
    if device is None:
        return None
    return device.resource, device.health, device.reason, device.numa_nodes, device.edits.nodes


async def _inspect(scene: Scene, root: Path) -> None:
    host = open_host(str(root))
    if scene.spec.explain:
        await scene.spec.explain(scene.settings, host)
    if scene.spec.checks:
        scene.spec.checks(scene.settings, host.root)
