"""What this process has mounted where."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

# proc_pid_mountinfo(5): these characters are written in octal.
_ESCAPES = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}


class Mount(msgspec.Struct, frozen=True):
    """A mount of this process. `receives` says that mounts made on the host later are seen."""

    point: Path
    kind: str
    read_only: bool
    receives: bool


def read_mounts(process: Path) -> list[Mount]:
    """Return the mounts of a process by its folder in /proc, in order; none if unreadable."""
    try:
        lines = (process / "mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [_parsed(line) for line in lines if " - " in line]


def covering(mounts: Sequence[Mount], path: Path) -> Mount | None:
    """Return the mount that a path lies on; of several at one point the last."""
    found = [mount for mount in mounts if path.is_relative_to(mount.point)]
    return max(reversed(found), key=lambda mount: len(mount.point.parts), default=None)


def _parsed(line: str) -> Mount:
    left, _, right = line.partition(" - ")
    fields, kinds = left.split(" "), right.split(" ")
    point = fields[4]
    for escape, character in _ESCAPES.items():
        point = point.replace(escape, character)
    return Mount(
        point=Path(point),
        kind=kinds[0],
        read_only="ro" in {*fields[5].split(","), *kinds[-1].split(",")},
        receives=any(each.startswith(("master:", "shared:")) for each in fields[6:]),
    )
