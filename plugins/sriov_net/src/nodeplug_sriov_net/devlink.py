"""What devlink tells of devices: failed health reporters, DDP packages.

Numbers are those of linux/devlink.h and linux/genetlink.h.
"""

import struct
from collections.abc import Collection, Iterator, Mapping
from math import inf
from typing import Any, Final, NamedTuple

from nodeplug.host.calls import call
from nodeplug_sriov_net.asked import Asked
from nodeplug_sriov_net.mark import Mark
from nodeplug_sriov_net.netlink import (
    CONTROL,
    DEVLINK,
    GENERIC,
    Listener,
    Message,
    ask,
    attribute,
    nested,
    parsed,
    text_of,
)

_CONTROL, _GET_FAMILY, _FAMILY_NAME = 16, 3, 2
INFO_GET, REPORTER_GET = 51, 52
_IN_ERROR = 1
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
    found = parsed(message, DEVLINK)
    address = device_address(found)
    for reporter in nested(found, "DEVLINK_ATTR_HEALTH_REPORTER"):
        name = text_of(reporter, "DEVLINK_ATTR_HEALTH_REPORTER_NAME")
        if address and name:
            state = reporter.get_attr("DEVLINK_ATTR_HEALTH_REPORTER_STATE")
            yield (address, name), state == _IN_ERROR


def packages_of(message: Message) -> Iterator[tuple[str, str]]:
    """Yield the PCI address of a device and the DDP package that runs on it, if one does."""
    found = parsed(message, DEVLINK)
    address = device_address(found)
    for version in nested(found, "DEVLINK_ATTR_INFO_VERSION_RUNNING"):
        if address and text_of(version, "DEVLINK_ATTR_INFO_VERSION_NAME") == _DDP_NAME:
            yield address, text_of(version, "DEVLINK_ATTR_INFO_VERSION_VALUE")


def device_address(found: Any) -> str:
    """Return the PCI address that a devlink message is about; empty where it is no PCI device."""
    is_pci = text_of(found, "DEVLINK_ATTR_BUS_NAME") == "pci"
    return text_of(found, "DEVLINK_ATTR_DEV_NAME") if is_pci else ""


def _find_family() -> Family:
    """Return what the kernel calls devlink. Blocks. Raises OSError where it has none."""
    body = _HEADER.pack(_GET_FAMILY, 1, 0) + attribute(_FAMILY_NAME, b"devlink\0")
    for message in ask(GENERIC, _CONTROL, body, dump=False, keep=lambda _: True).messages:
        found = parsed(message, CONTROL)
        groups = found.get_attr("CTRL_ATTR_MCAST_GROUPS") or ()
        ids = {
            text_of(group, "CTRL_ATTR_MCAST_GRP_NAME"): group.get_attr("CTRL_ATTR_MCAST_GRP_ID")
            for group in groups
        }
        return Family(found.get_attr("CTRL_ATTR_FAMILY_ID") or 0, ids.get("config") or 0)
    raise OSError("the kernel says nothing of devlink")
