"""What devlink tells of devices: failed health reporters, DDP packages."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from nodeplug_sriov_net import netlink
from nodeplug_sriov_net.conversation import Conversation


class Devlink:
    """Health reporters, kept up to date by events, which are told to `mark`.

    Reading needs no capability, but the network namespace of the devices.
    """

    def __init__(self, mark: Callable[[Collection[str] | None], None]) -> None:
        self._reporters: dict[tuple[str, str], bool] = {}
        self._packages: dict[str, str] = {}
        self._asked_for: Collection[str] = ()
        self._socket = netlink.DevlinkSocket(self._receive)
        self._conversation = Conversation()
        self._mark = mark
        self._stale = True

    async def open(self) -> None:
        """Listen from the return on. Raises OSError where the kernel has no devlink."""
        await self._socket.open()

    def close(self) -> None:
        """Listen no more."""
        self._socket.shut()

    async def failed(self) -> Mapping[str, Collection[str]]:
        """Return the names of health reporters in error, by PCI address."""
        if self._stale:
            self._stale = False
            self._reporters.clear()
            self._stale |= not await self._answered(netlink.REPORTER_GET)
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
            self._asked_for, self._packages = addresses, {}
            await self._answered(netlink.INFO_GET)
        return self._packages

    async def _answered(self, command: int) -> bool:
        return await self._conversation.answered(self._socket.ask(command))

    def _receive(self, message: Any) -> None:
        if message is None:
            self._stale = True
            self._conversation.lost()
            self._mark(())
        elif not netlink.is_answer(self._socket, message):
            if self._take(message):
                self._mark(())
        elif self._conversation.takes(message):
            self._take(message)

    def _take(self, message: Any) -> bool:
        """Take a reporter or a package over; return whether a reporter has changed."""
        address = netlink.device_address(message)
        if package := netlink.ddp_package(message):
            self._packages[address] = package
        reporter = netlink.reporter_of(message)
        if reporter is None or not address:
            return False
        name, failed = reporter
        before = self._reporters.get((address, name))
        self._reporters[address, name] = failed
        return before != failed
