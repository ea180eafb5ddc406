"""What a path is, found without opening it."""

import os
import stat
from pathlib import Path
from typing import Literal

NodeType = Literal["char", "block", "socket", "fifo", "file", "directory"]

_TYPES: dict[int, NodeType] = {
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "fifo",
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
}


def node_type(path: Path) -> NodeType | None:
    """Return the type of what the path leads to, or None where nothing can be found.

    Symbolic links are followed as this process sees them. Nothing is opened: opening a device
    may start it, block, or need a right that stat does not.
    """
    try:
        return _TYPES.get(stat.S_IFMT(os.stat(path).st_mode))  # noqa: PTH116 - see stat(2)
    except (OSError, ValueError):
        return None
