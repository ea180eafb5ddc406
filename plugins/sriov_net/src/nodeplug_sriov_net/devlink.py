"""What devlink tells of devices: failed health reporters, DDP packages.

Numbers are those of linux/devlink.h and linux/genetlink.h.
"""

import struct
from collections.abc import Collection, Iterator, Mapping
from math import inf
from typing import Final, NamedTuple

from nodeplug.host.calls import call
from nodeplug_sriov_net.asked import Asked
from nodeplug_sriov_net.mark import Mark
from nodeplug_sriov_net.netlink import (
    GENERIC,
    Attributes,
    Listener,
    Message,
    ask,
    attribute,
    attributes,
    number,
    pairs,
    text,
)

_CONTROL, _GET_FAMILY, _FAMILY_ID, _FAMILY_NAME, _FAMILY_GROUPS = 16, 3, 1, 2, 7
_GROUP_NAME, _GROUP_ID = 1, 2
INFO_GET, REPORTER_GET = 51, 52
_BUS, _DEVICE, _RUNNING, _VERSION_NAME, _VERSION_VALUE = 1, 2, 101, 103, 104
_REPORTER, _REPORTER_NAME, _REPORTER_STATE, _IN_ERROR = 114, 115, 116, 1
_DDP_NAME: Final = "fw.app.name"  # kernel, Documentation/networking/devlink/ice.rst
_HEADER: Final = struct.Struct("=BBH")


class Family(NamedTuple):
    """What the kernel calls devlink, and the group of its events."""

    id: int
    group: int


class Devlink:
    """Health reporters, kept up to date by events, which are told to `mark`.

    Reading needs no capability, but the network namespace of the devices. What devlink is asked
    for waits as long as a device is being reloaded or gets new firmware.
    """

    def __init__(self, mark: Mark) -> None:
        self._family = Family(0, 0)
        self._reporters: dict[tuple[str, str], bool] = {}
        self._asked_for: Collection[str] = ()
        self._listener = Listener(GENERIC, self._receive)
        self._all_reporters = Asked("health reporters", lambda: self._ask(REPORTER_GET), mark)
        self._packages = Asked("DDP packages", lambda: self._ask(INFO_GET), mark)
        self._touched: set[tuple[str, str]] = set()
        self._mark = mark

    async def open(self) -> None:
        """Listen from the return on. Raises OSError where the kernel has no devlink."""
        self._family = await call(_find_family, timeout=inf)
        self._listener.open([self._family.group])

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()
        self._all_reporters.close()
        self._packages.close()

    async def failed(self) -> Mapping[str, Collection[str]]:
        """Return the names of health reporters in error, by PCI address."""
        if self._all_reporters.begins:
            self._touched = set()
        if await self._all_reporters.get() and self._all_reporters.value is not None:
            heard = {each: self._reporters[each] for each in self._touched}
            read = (each for m in self._all_reporters.value for each in reporters_of(m))
            self._reporters = {**dict(read), **heard}
        found: dict[str, list[str]] = {}
        for (address, name), failed in self._reporters.items():
            if failed:
                found.setdefault(address, []).append(name)
        return found

    async def packages(self, addresses: Collection[str]) -> Mapping[str, str]:
        """Return the DDP packages that run on devices, by PCI address.

        Their firmware is asked once, and again when other addresses are given.
        """
        if self._asked_for != addresses:
            self._asked_for, self._packages.spoilt = addresses, True
        await self._packages.get()
        return dict(each for m in self._packages.value or () for each in packages_of(m))

    def _ask(self, command: int) -> list[Message]:
        body = _HEADER.pack(command, 1, 0)
        return ask(GENERIC, self._family.id, body, dump=True, keep=lambda _: True).messages

    def _receive(self, message: Message | None) -> None:
        if message is None:
            self._all_reporters.spoilt = True
            self._mark(())
        elif message.kind == self._family.id:
            for key, failed in reporters_of(message):
                self._touched.add(key)
                before = self._reporters.get(key)
                self._reporters[key] = failed
                if before != failed:
                    self._mark(())


def reporters_of(message: Message) -> Iterator[tuple[tuple[str, str], bool]]:
    """Yield the health reporter that a message is about, (address, name), and whether it failed."""
    found = attributes(message.body, _HEADER.size)
    reporter = attributes(found.get(_REPORTER, b""))
    address, name = device_address(found), text(reporter, _REPORTER_NAME)
    if address and name:
        yield (address, name), number(reporter, _REPORTER_STATE) == _IN_ERROR


def packages_of(message: Message) -> Iterator[tuple[str, str]]:
    """Yield the PCI address of a device and the DDP package that runs on it, if one does."""
    address = device_address(attributes(message.body, _HEADER.size))
    for kind, value in pairs(message.body, _HEADER.size):
        version = attributes(value) if kind == _RUNNING else {}
        if address and text(version, _VERSION_NAME) == _DDP_NAME:
            yield address, text(version, _VERSION_VALUE)


def device_address(found: Attributes) -> str:
    """Return the PCI address that a devlink message is about; empty where it is no PCI device."""
    return text(found, _DEVICE) if text(found, _BUS) == "pci" else ""


def _find_family() -> Family:
    """Return what the kernel calls devlink. Blocks. Raises OSError where it has none."""
    body = _HEADER.pack(_GET_FAMILY, 1, 0) + attribute(_FAMILY_NAME, b"devlink\0")
    for message in ask(GENERIC, _CONTROL, body, dump=False, keep=lambda _: True).messages:
        found = attributes(message.body, _HEADER.size)
        groups = (attributes(each) for _, each in pairs(found.get(_FAMILY_GROUPS, b"")))
        group = next((number(g, _GROUP_ID) for g in groups if text(g, _GROUP_NAME) == "config"), 0)
        return Family(number(found, _FAMILY_ID), group)
    raise OSError("the kernel says nothing of devlink")
