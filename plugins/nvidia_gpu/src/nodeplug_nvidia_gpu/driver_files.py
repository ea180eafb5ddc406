"""The driver's files that containers need where no container toolkit brings them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from nodeplug.host.root import HostRoot
from nodeplug_nvidia_gpu.library import Library
from nodeplug_nvidia_gpu.settings import NvidiaGpuSettings

# NVIDIA's driver: programs and sockets that containers expect of it.
_PROGRAMS: Final = (
    "nvidia-smi",
    "nvidia-debugdump",
    "nvidia-persistenced",
    "nvidia-cuda-mps-control",
    "nvidia-cuda-mps-server",
)
_SOCKETS: Final = ("/run/nvidia-persistenced/socket", "/run/nvidia-fabricmanager/socket")
# Where packages, the GPU operator's toolkit container and Talos put the toolkit's programs.
HOOKS: Final = tuple(
    f"{folder}/{name}"
    for name in ("nvidia-cdi-hook", "nvidia-ctk")
    for folder in ("/usr/bin", "/usr/local/bin", "/usr/local/nvidia/toolkit")
)
# What further classes of devices consist of, as patterns below /dev, and their mounts.
CLASSES: Final = {
    "gdrcopy": (("gdrdrv",), ()),
    "gds": (("nvidia-fs*",), ("/etc/cufile.json", "/run/udev")),
    "mofed": (("infiniband/uverbs*", "infiniband/rdma_cm"), ()),
}

Bind = tuple[str, str]
"""A path of the host, and where it is in the container."""


class Further(msgspec.Struct, frozen=True):
    """What a further class of devices consists of on this host."""

    nodes: tuple[str, ...] = ()
    mounts: tuple[Bind, ...] = ()


class DriverFiles:
    """Finds files of the driver and of what comes with it."""

    def __init__(self, root: HostRoot, settings: NvidiaGpuSettings) -> None:
        self._root = root
        self._settings = settings
        self._library = Library(root, settings)

    def mounts(self) -> tuple[Bind, ...]:
        """Return libraries, under all names that lead to them, programs, and sockets."""
        return (*self._libraries(), *self._programs(), *self._present(_SOCKETS))

    def hook(self) -> str:
        """Return the container toolkit's program if it is on the host, else nothing."""
        wanted = self._settings.cdi.hook_path
        places = [wanted] if wanted else HOOKS
        return next((path for path in places if self._root.find(path).is_file()), "")

    def further(self, name: str) -> Further:
        """Return what a class of devices consists of."""
        patterns, mounts = CLASSES[name]
        dev = self._library.node("/dev")
        found = (path for pattern in patterns for path in sorted(dev.glob(pattern)))
        nodes = tuple(f"/dev/{path.relative_to(dev)}" for path in found)
        return Further(nodes, tuple(self._present(mounts)) if nodes else ())

    def _libraries(self) -> Iterator[Bind]:
        """Yield every library of the driver's version: the end of its name is the version."""
        found = self._library.find()
        if found is None:
            return
        version = found.name.partition(".so.")[2]
        for file in sorted(found.parent.glob("lib*.so*")):
            true = self._library.true_path(file)
            if true.name.endswith(f".so.{version}"):
                yield self._host_path(true), self._inner_path(file)

    def _programs(self) -> Iterator[Bind]:
        for name in _PROGRAMS:
            file = self._library.top / "usr/bin" / name
            if self._library.true_path(file).is_file():
                yield self._host_path(file), self._inner_path(file)

    def _present(self, paths: Sequence[str]) -> Iterator[Bind]:
        yield from ((path, path) for path in paths if self._root.find(path).exists())

    def _inner_path(self, file: Path) -> str:
        """Return where a file of the driver's root is in a root of its own."""
        top = self._library.top
        return f"/{file.relative_to(top)}" if file.is_relative_to(top) else str(file)

    def _host_path(self, file: Path) -> str:
        return self._settings.driver_root.rstrip("/") + self._inner_path(file)
