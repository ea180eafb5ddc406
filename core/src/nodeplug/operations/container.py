"""What a container got, seen from within: environment, device nodes, mounts, network interfaces."""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

# What container runtimes give to every container.
_NODES = {"console", "full", "null", "ptmx", "random", "tty", "urandom", "zero"}
_FOLDERS = {"pts", "shm", "mqueue", "fd"}
_MOUNTS = re.compile(
    r"/(|proc|sys|dev|dev/(pts|shm|mqueue|termination-log)|etc/(hosts|hostname|resolv\.conf))"
    r"|/(proc|sys|run/secrets|var/run/secrets)/.*"
)
_ESCAPED = re.compile(r"\\([0-7]{3})")
_MODES = {os.O_RDWR: "read and write", os.O_RDONLY: "read", os.O_WRONLY: "write"}
_FLAGS = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Item(msgspec.Struct, frozen=True):
    """One thing of a container: what it is, and whether the container can use it."""

    kind: str
    name: str
    detail: str = ""
    good: bool = True


def contents(root: Path, environment: Mapping[str, str]) -> Iterator[Item]:
    """Yield what a container has beyond what every container has."""
    yield from (Item("environment", name, text) for name, text in sorted(environment.items()))
    yield from _devices(root)
    yield from _mounts(root)
    interfaces = root / "sys/class/net"
    yield from (Item("interface", each.name) for each in sorted(interfaces.glob("*")))


def missing(
    root: Path, environment: Mapping[str, str], paths: tuple[str, ...], names: tuple[str, ...]
) -> Iterator[Item]:
    """Yield which of these paths and variables a container has not got."""
    for path in paths:
        if not (root / path.lstrip("/")).exists():
            yield Item("missing", path, "no such path", good=False)
    for name in names:
        if not environment.get(name):
            yield Item("missing", name, "not set", good=False)


def _devices(root: Path) -> Iterator[Item]:
    dev = root / "dev"
    for folder, folders, names in os.walk(dev):
        at = Path(folder)
        folders[:] = sorted({*folders} - (_FOLDERS if at == dev else set()))
        for name in sorted({*names} - (_NODES if at == dev else set())):
            status = (at / name).lstat()
            if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
                number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
                yield _opened("device", at / name, root, number)


def _mounts(root: Path) -> Iterator[Item]:
    for line in (root / "proc/self/mountinfo").read_text(errors="replace").splitlines():
        _, _, _, _, place, options, *_ = line.split(" ")
        path = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), place)
        if not _MOUNTS.fullmatch(path):
            may = "read-only" if "ro" in options.split(",") else "writable"
            yield _opened("mount", root / path.lstrip("/"), root, may)


def _opened(kind: str, path: Path, root: Path, detail: str) -> Item:
    """Return what opening shows, in the widest way that is allowed."""
    name = f"/{path.relative_to(root)}"
    if path.name.startswith("watchdog"):
        return Item(kind, name, f"{detail}, not opened: that would start it")
    refusal = ""
    for mode, said in _MODES.items() if kind == "device" else [(os.O_RDONLY, "can be opened")]:
        try:
            os.close(os.open(path, mode | _FLAGS))
        except OSError as error:
            refusal = refusal or os.strerror(error.errno or 0)
        else:
            return Item(kind, name, f"{detail}, {said}")
    return Item(kind, name, f"{detail}, cannot be opened: {refusal}", good=False)
