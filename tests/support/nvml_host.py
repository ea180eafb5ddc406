"""A host whose driver library is the stand-in, and shorthand to look at it."""

import os
import re
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from nodeplug.host.host import Host, open_host
from nodeplug.testing.patience import patience
from nodeplug.values.inventory import Inventory
from nodeplug_nvidia_gpu.backend import NvidiaGpuBackend
from nodeplug_nvidia_gpu.memory import Memory
from nodeplug_nvidia_gpu.settings import NvidiaGpuSettings
from support.nvml_state import NO_INSTANCE, XID, event, share

GPU = "nvidia.com/gpu"
# Tests do not wait for the pauses that operators want.
QUICK = {"holdOffSeconds": 0, "pollSeconds": 0.1}
_CONTROL = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools")


def uuid(number: int) -> str:
    return f"GPU-{number:08x}-1111-2222-3333-444444444444"


def slice_uuid(gpu: int, number: int) -> str:
    return f"MIG-{gpu:04x}{number:04x}-1111-2222-3333-444444444444"


class NvmlHost:
    """Files in a folder: device nodes, the library where it is installed, the state it reads."""

    def __init__(self, folder: Path, library: Path, gpus: int = 0) -> None:
        self.folder = folder
        self.library = library
        self.place = folder / "usr/lib64"
        self.place.mkdir(parents=True)
        (folder / "dev").mkdir(exist_ok=True)
        self.state = share(self.place / "nvml.state")
        self.state.driver, self.state.cuda = b"550.54.15", 12040
        os.mkfifo(self.place / "nvml.events")
        self._events = os.open(self.place / "nvml.events", os.O_RDWR | os.O_NONBLOCK)
        for number in range(gpus):
            self.add(number)

    @property
    def host(self) -> Host:
        return open_host(str(self.folder), str(self.folder / "uevents.sock"))

    def install(self, version: str = "550.54.15") -> None:
        """Put a copy of the library where drivers put theirs, as packages do."""
        file = self.place / f"libnvidia-ml.so.{version}"
        Path(shutil.copy(self.library, self.place / "new")).replace(file)
        link = self.place / "link"
        link.symlink_to(file.name)
        link.replace(self.place / "libnvidia-ml.so.1")
        self.state.driver = version.encode()

    def add(
        self, number: int, name: str = "NVIDIA A100-SXM4-40GB", gib: int = 40, *, nodes: bool = True
    ) -> Any:
        """Plug a GPU in, with its device node unless told otherwise."""
        gpu = self.state.gpus[number]
        gpu.uuid, gpu.name = uuid(number).encode(), name.encode()
        gpu.minor, gpu.bus, gpu.memory = number, 0x10 + number, gib << 30
        gpu.major_capability, gpu.minor_capability, gpu.mig = 8, 0, 1
        gpu.temperature, gpu.power_mw, gpu.load = 30 + number, 50_000, 25
        gpu.present = 1
        for each in (*_CONTROL, f"nvidia{number}") if nodes else ():
            (self.folder / "dev" / each).touch()
        return gpu

    def fault(
        self, function: str, gpu: int = NO_INSTANCE, *, error: int = 0, hang: bool = False
    ) -> Any:
        """Let a function fail or hang, of one GPU or of all; return what can be changed again."""
        found = next(each for each in self.state.faults if not each.function)
        found.gpu, found.error, found.hang = gpu, error, hang
        found.function = function.encode()
        return found

    def go_on(self) -> None:
        """Let whatever hangs return."""
        self.state.hang = 0
        for each in self.state.faults:
            each.hang = 0

    def plug(self, number: int) -> Path:
        """Have the kernel know of a GPU too; return what is gone when the GPU is."""
        name = f"0000:{0x10 + number:02x}:00.0"
        place = self.folder / f"sys/devices/pci0000:00/0000:00:{number:02x}.0/{name}"
        place.mkdir(parents=True)
        (place / "vendor").write_text("0x10de\n")
        (place / "numa_node").write_text(f"{number // 4}\n")
        slot = self.folder / "sys/bus/pci/devices" / name
        slot.parent.mkdir(parents=True, exist_ok=True)
        slot.symlink_to(os.path.relpath(place, slot.parent))
        return slot

    def cut(self, number: int, *profiles: str) -> None:
        """Put a GPU in MIG mode with these slices, which takes the place of those it had."""
        gpu = self.state.gpus[number]
        gpu.mig = 2
        for index, part in enumerate(gpu.slices):
            part.present = index < len(profiles)
            if part.present:
                self._cut(gpu, index, profiles[index])
        self._write_minors()

    def _cut(self, gpu: Any, index: int, profile: str) -> None:
        part = gpu.slices[index]
        found = re.search(r"(\d+)g\.(\d+)gb", profile)
        assert found is not None
        slices, gib = map(int, found.groups())
        part.uuid = slice_uuid(gpu.minor, index).encode()
        part.name = gpu.name + f" MIG {profile}".encode()
        part.instance, part.compute_instance = index + 1, 0
        part.gpu_slices = part.compute_slices = slices
        part.multiprocessors = 14 * slices
        part.memory_mb = gib << 10

    def _write_minors(self) -> None:
        """Give each capability a number, as the driver does."""
        file = self.folder / "proc/driver/nvidia-caps/mig-minors"
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = ["config 1", "monitor 2"]
        for gpu in range(2):
            for instance in range(9):
                first = 3 + 200 * gpu + 9 * instance
                lines.append(f"gpu{gpu}/gi{instance}/access {first}")
                lines.append(f"gpu{gpu}/gi{instance}/ci0/access {first + 1}")
        file.write_text("\n".join(lines) + "\n")

    def tell(
        self,
        gpu: int,
        xid: int,
        *,
        kind: int = XID,
        instance: int = NO_INSTANCE,
        compute_instance: int = NO_INSTANCE,
    ) -> None:
        """Have the driver tell of an event; 99 is a GPU that cannot be told."""
        os.write(self._events, event(gpu, kind, xid, instance, compute_instance))

    def close(self) -> None:
        self.go_on()
        os.close(self._events)

    def backend(self, memory: Memory | None = None, **keys: Any) -> NvidiaGpuBackend:
        return NvidiaGpuBackend(settings(**keys), self.host, memory or Memory())

    async def inventory(self, **keys: Any) -> Inventory:
        """Return the first inventory of a backend that is then stopped."""
        async with aclosing(self.backend(**keys).inventories()) as inventories:
            return await anext(inventories)


def settings(**keys: Any) -> NvidiaGpuSettings:
    health = QUICK | keys.pop("health", {})
    return msgspec.convert({"health": health, **keys}, NvidiaGpuSettings)


@asynccontextmanager
async def watching(
    backend: NvidiaGpuBackend,
) -> AsyncIterator[AsyncGenerator[Inventory, None]]:
    """Give the inventories of a backend, within a time that no test needs."""
    async with patience(10), aclosing(backend.inventories()) as inventories:
        yield inventories


async def until(
    inventories: AsyncGenerator[Inventory, None], wanted: Callable[[Inventory], bool]
) -> Inventory:
    while not wanted(inventory := await anext(inventories)):
        pass
    return inventory


def reasons(inventory: Inventory) -> Mapping[str, str]:
    """Return what is wrong with the sick devices."""
    return {each.id: each.reason for each in inventory.devices.values() if not each.healthy}
