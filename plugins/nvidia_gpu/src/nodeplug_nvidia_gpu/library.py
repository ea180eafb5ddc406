"""Where the driver's library is."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from nodeplug.host.root import HostRoot
from nodeplug_nvidia_gpu.settings import NvidiaGpuSettings

NAME: Final = "libnvidia-ml.so.1"
# Where distributions, WSL, GKE's installer, NixOS and the loader's cache have it.
_FOLDERS: Final = (
    "usr/lib64",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib",
    "lib64",
    "lib/x86_64-linux-gnu",
    "lib/aarch64-linux-gnu",
    "lib",
    "usr/local/nvidia/lib64",
    "usr/lib/wsl/lib",
    "run/opengl-driver/lib",
)

Identity = tuple[int, int, int]


class Library:
    """The library below the driver's root, else where the process itself has it.

    The latter is looked at only where the host's root is the process's: a container runtime puts
    the library there.
    """

    def __init__(self, root: HostRoot, settings: NvidiaGpuSettings) -> None:
        self._root = root
        self._settings = settings

    def folders(self) -> list[Path]:
        """Return where the library is looked for, in order."""
        top = self.top
        found = [top / each for each in (*_FOLDERS, ".")]
        if self._root.root == Path("/") and top != Path("/"):
            found += [Path("/") / each for each in _FOLDERS]
        return found

    def find(self) -> Path | None:
        """Return where the library is, with its links followed within the driver's root."""
        return next(self._found(), None)

    def node(self, path: str) -> Path:
        """Return where this process sees a device node of the driver."""
        own = self._settings.dev_root
        return (self._root.find(own) if own else self.top) / path.lstrip("/")

    @property
    def by_name(self) -> bool:
        """Whether the process may have it where only its loader knows."""
        return self._root.root == Path("/")

    def true_path(self, file: Path) -> Path:
        """Return a file with its links followed: below the driver's root they never leave it."""
        inner = HostRoot(self.top)
        if file.is_relative_to(inner.root):
            return inner.find(inner.to_host(file))
        return Path(os.path.realpath(file))

    def _found(self) -> Iterator[Path]:
        for folder in self.folders():
            path = self.true_path(folder / NAME)
            if path.is_file():
                yield path

    @property
    def top(self) -> Path:
        """Where this process sees the driver's root."""
        if self._settings.container_driver_root:
            return Path(self._settings.container_driver_root)
        return self._root.find(self._settings.driver_root)


def identity(path: Path) -> Identity | None:
    """Return what tells one file from another that took its place; None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - twice as quick, and often called
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def watched(folders: list[Path]) -> Mapping[Path, frozenset[str] | None]:
    """Return what to watch to hear of a library that comes, goes or is replaced."""
    return {folder: frozenset({NAME}) for folder in folders if folder.parent.is_dir()}
