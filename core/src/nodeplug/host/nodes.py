"""What a path is, found without opening it."""

import os
import stat
from pathlib import Path
from sys import intern
from typing import Literal, NamedTuple

from nodeplug.values.hardware import HardwareKey

NodeType = Literal["char", "block", "socket", "fifo", "file", "directory"]

_TYPES: dict[int, NodeType] = {
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "fifo",
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
}


class Seen(NamedTuple):
    """What is at a path: `kind` is None where nothing is, `number` that of a device node, else 0.

    `inode` tells a node from another that takes its place.
    """

    kind: NodeType | None = None
    number: int = 0
    inode: int = 0

    @property
    def key(self) -> HardwareKey:
        """The device number as hardware, "" for what is no device node."""
        if self.kind not in {"char", "block"}:
            return ""
        return intern(f"{self.kind} {os.major(self.number)}:{os.minor(self.number)}")


def see(path: Path) -> Seen:
    """Return what the path leads to.

    Symbolic links are followed as this process sees them. Nothing is opened: opening a device
    may start it, block, or need a right that stat does not.
    """
    try:
        return _seen(os.stat(path))  # noqa: PTH116 - see stat(2)
    except (OSError, ValueError):
        return Seen()


def see_unless_link(path: str) -> Seen | None:
    """Return what is at a path, None where that is a symbolic link."""
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return Seen()
    return None if stat.S_ISLNK(found.st_mode) else _seen(found)


def _seen(found: os.stat_result) -> Seen:
    kind = _TYPES.get(stat.S_IFMT(found.st_mode))
    is_node = kind in {"char", "block"}
    return Seen(kind, found.st_rdev, found.st_ino) if is_node else Seen(kind)


def node_type(path: Path) -> NodeType | None:
    """Return the type of what the path leads to, or None where nothing can be found."""
    return see(path).kind
