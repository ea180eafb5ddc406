"""What the drivers show in sysfs: PCI functions, each with an engine, ports, or both.

Only names and links are looked at, which wait for nothing.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from nodeplug.backend import Omissions
from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import ancestors, device_at, link_name, read_text
from nodeplug.values.errors import InvalidValueError
from nodeplug_intel_fpga.layouts import LAYOUTS, Layout
from nodeplug_intel_fpga.tree import children

_ADDRESS: Final = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
# Linux: a minor number has 20 bits, a major one fewer.
_DIGITS: Final = 7
_NODE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Part(NamedTuple):
    """A management engine (FME) or a port: its name, its folder, and its device node.

    `node` is a host path, empty where the kernel names none; `number` is what stat says of it.
    """

    name: str
    place: Path
    node: str
    number: int


class Function(NamedTuple):
    """A PCI function with the folders of what its driver made of it.

    `name` is the kernel's for it, as long as the driver is bound. `card` is the address of the
    physical function: another one for a virtual function only.
    """

    name: str
    address: str
    devpath: str
    card: str
    layout: Layout
    engine: Path | None
    ports: tuple[Path, ...]


class Survey(NamedTuple):
    """All functions, and what could not be made sense of: the reason by name."""

    functions: tuple[Function, ...]
    troubles: Omissions


def survey(root: HostRoot) -> Survey:
    """Look at both drivers' trees. Blocks; opens nothing."""
    functions: list[Function] = []
    troubles = Omissions()
    for layout in LAYOUTS:
        for entry in children(root.sys / "class" / layout.folders, layout.folder):
            with troubles.alone(entry.name):
                functions += _functions(root, layout, entry.name)
    return Survey(tuple(functions), troubles)


def _functions(root: HostRoot, layout: Layout, name: str) -> Iterator[Function]:
    link = f"/sys/class/{layout.folders}/{name}"
    devpath = device_at(root, link)
    if devpath is None:
        if not os.path.islink(root.path(link)):  # noqa: PTH114 - for any text
            return  # it was removed just now
        raise InvalidValueError("its link in /sys/class leads nowhere")
    place = root.path(f"/sys{devpath}")
    engines, ports = children(place, layout.fme), children(place, layout.port)
    if not engines and not ports:
        return  # a region of an engine has an entry of its own
    function = next((up for up in ancestors(devpath) if _ADDRESS.fullmatch(_last(up))), None)
    if function is None:
        raise InvalidValueError("is not below a PCI function")
    physical = link_name(root.path(f"/sys{function}/physfn")) or ""
    yield Function(
        name=name,
        address=_last(function),
        devpath=function,
        card=physical if _ADDRESS.fullmatch(physical) else _last(function),
        layout=layout,
        engine=engines[0] if engines else None,
        ports=tuple(ports),
    )


def part_at(place: Path) -> Part:
    """Return the part that has this folder. Blocks: it reads an attribute."""
    text = read_text(place / "uevent") or ""
    values = dict(line.partition("=")[::2] for line in text.splitlines())
    name, major, minor = (values.get(key, "") for key in ("DEVNAME", "MAJOR", "MINOR"))
    numbered = _is_small(major) and _is_small(minor)
    return Part(
        name=place.name,
        place=place,
        node=f"/dev/{name}" if _NODE_NAME.fullmatch(name) else "",
        number=os.makedev(int(major), int(minor)) if numbered else -1,
    )


def _is_small(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS


def _last(path: str) -> str:
    return path.rpartition("/")[2]
