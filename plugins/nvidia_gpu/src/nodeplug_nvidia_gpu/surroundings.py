"""What the host has around its GPUs: device nodes, places on the PCI bus, CDI names."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from nodeplug.host.nodes import node_type
from nodeplug.host.pci import pci_device
from nodeplug.host.root import HostRoot
from nodeplug.host.shortage import refuse_shortage
from nodeplug.host.sysfs import ancestors, read_text
from nodeplug_nvidia_gpu.cdi_names import SpecReader
from nodeplug_nvidia_gpu.driver_files import CLASSES, Bind, DriverFiles, Further
from nodeplug_nvidia_gpu.facts import Gpu
from nodeplug_nvidia_gpu.library import Library
from nodeplug_nvidia_gpu.settings import NvidiaGpuSettings

# NVIDIA's driver: what every user of a GPU opens besides the GPU.
_CONTROL: Final = (
    "/dev/nvidiactl",
    "/dev/nvidia-uvm",
    "/dev/nvidia-uvm-tools",
    "/dev/nvidia-modeset",
)
_MINORS: Final = "/proc/driver/nvidia-caps/mig-minors"
# Linux: a minor number has 20 bits.
_MINOR: Final = re.compile(r"(gpu\S+/access) ([0-9]{1,7})\b")
_CHANNEL: Final = "/dev/nvidia-caps-imex-channels/channel{}"


class Place(msgspec.Struct, frozen=True):
    """Where a PCI function is: its NUMA nodes, and the buses and bridges above it; its class."""

    numa: tuple[int, ...] = ()
    location: tuple[str, ...] = ()
    kind: str = ""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What the host has around its GPUs.

    `control` are the device nodes of all GPUs, `minors` those of MIG capabilities by name,
    `channels` the IMEX channels that are asked for and there, `cdi` the names of the kind that is
    asked for. Where some GPU has no such name, `mounts` and `hook` are what a specification for it
    needs, and `further` what other classes of devices consist of.
    """

    control: tuple[str, ...] = ()
    minors: Mapping[str, int] = msgspec.field(default_factory=dict)
    channels: tuple[int, ...] = ()
    cdi: frozenset[str] = frozenset()
    places: Mapping[str, Place] = msgspec.field(default_factory=dict)
    machine: str = ""
    mounts: tuple[Bind, ...] = ()
    hook: str = ""
    further: Mapping[str, Further] = msgspec.field(default_factory=dict)


class Surveyor:
    """Looks around on the host; for one thread."""

    def __init__(self, root: HostRoot, settings: NvidiaGpuSettings) -> None:
        self._root = root
        self._settings = settings
        self._specs = SpecReader(root, settings.cdi)
        self._files = DriverFiles(root, settings)
        self._library = Library(root, settings)

    def look(self, gpus: Iterable[Gpu]) -> Surroundings:
        """Return what is there now."""
        gpus = tuple(gpus)
        sliced = any(gpu.slices for gpu in gpus)
        strategies = self._settings.device_list_strategy
        by_cdi = any(each.startswith("cdi-") for each in strategies)
        files = self._files if by_cdi else None
        return Surroundings(
            control=tuple(path for path in _CONTROL if self._has(path)),
            minors=self._minors() if sliced else {},
            channels=tuple(n for n in self._settings.imex.channel_ids if self._has(channel(n))),
            cdi=self._specs.names() if by_cdi else frozenset(),
            places={gpu.address: self._place(gpu.address) for gpu in gpus if gpu.address},
            machine=read_text(self._root.find(self._settings.machine_type_file)) or "",
            mounts=files.mounts() if files else (),
            hook=files.hook() if files else "",
            further={name: files.further(name) for name in self._classes()} if files else {},
        )

    def plugged(self, address: str) -> bool:
        """Return whether there is a PCI function at an address."""
        place = f"{self._root.sys}/bus/pci/devices/{address}"
        return bool(address) and os.path.exists(place)  # noqa: PTH110 - for any text

    def _classes(self) -> list[str]:
        return [name for name in CLASSES if getattr(self._settings, name)]

    def _has(self, path: str) -> bool:
        return node_type(self._library.node(path)) is not None

    def _minors(self) -> dict[str, int]:
        try:
            text = self._root.path(_MINORS).read_text()
        except (OSError, ValueError) as error:
            refuse_shortage(error)
            return {}
        return {name: int(minor) for name, minor in _MINOR.findall(text)}

    def _place(self, address: str) -> Place:
        found = pci_device(self._root, address)
        if found is None:
            return Place()
        steps = [devpath.rpartition("/")[2] for devpath in ancestors(found.devpath)]
        return Place(found.numa, (*reversed(steps), address), found.device_class)


def channel(number: int) -> str:
    """Return the device node of an IMEX channel."""
    return _CHANNEL.format(number)
