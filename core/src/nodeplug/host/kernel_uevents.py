"""The events of this machine's kernel, over netlink."""

import os
import socket
from functools import partial
from typing import Any

from nodeplug.host.calls import call
from nodeplug.host.uevent_hub import Reader, UeventHub
from nodeplug.host.uevent_text import parse
from nodeplug.host.uevents import Uevent

_NETLINK_KOBJECT_UEVENT = 15  # linux/netlink.h
_KERNEL_GROUP = 1
_MESSAGE_LIMIT = 16384  # the kernel's buffer is 2 KiB (UEVENT_BUFFER_SIZE), libudev's longer

# pyudev runs ldconfig in search of libudev.
_LOAD_TIMEOUT = 10.0


class KernelUevents(UeventHub):
    """Kernel events, through pyudev, or from the bare socket where libudev is missing.

    Needs no capability and no udevd, and works in a network namespace of its own (but for network
    devices); in a user namespace the kernel sends nothing, and nothing tells. An event comes when
    the node exists, before udev has set its rights and links. When the kernel's buffer
    overflows, every subscriber gets one `Resync`.
    """

    def __init__(self) -> None:
        super().__init__(_open)


async def _open() -> Reader:
    try:
        return _PyudevReader(await call(_load, timeout=_LOAD_TIMEOUT))
    except (ImportError, OSError):  # libudev missing, unusable, or too slow to be found
        return _NetlinkReader()


def _load() -> Any:
    import pyudev  # noqa: PLC0415 - costs memory that not every agent needs

    # Making the context is what looks for libudev; ImportError where there is none.
    return partial(pyudev.Monitor.from_netlink, pyudev.Context(), "kernel")


class _PyudevReader:
    """Kernel events through pyudev's monitor."""

    def __init__(self, open_monitor: Any) -> None:
        self._monitor = open_monitor()
        self._monitor.start()
        self._fd: int = self._monitor.fileno()

    def fileno(self) -> int:
        return self._fd

    def read(self) -> Uevent | None:
        try:
            device = self._monitor.poll(timeout=0)
        except OSError:
            self._clear_error()
            raise
        if device is None:
            return None
        return Uevent(
            action=device.action or "",
            devpath=device.device_path,
            subsystem=device.subsystem or "",
            devname=device.device_node or "",
            properties=dict(device.properties),
        )

    def close(self) -> None:
        # The monitor closes its socket when it is collected.
        self._monitor = None

    def _clear_error(self) -> None:
        # After ENOBUFS the monitor's poll() reports the socket's error for ever and never reads.
        with socket.socket(fileno=os.dup(self._fd)) as same:
            same.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


class _NetlinkReader:
    """Kernel events from a netlink socket of our own."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _NETLINK_KOBJECT_UEVENT
        )
        self._socket.bind((0, _KERNEL_GROUP))

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> Uevent | None:
        while True:
            try:
                datagram, sender = self._socket.recvfrom(_MESSAGE_LIMIT)
            except BlockingIOError:
                return None
            # Any process may send to a socket, but only the kernel from port 0; what umockdev
            # puts in the place of the socket names no sender.
            if sender is None or sender[0] == 0:
                return parse(datagram)

    def close(self) -> None:
        self._socket.close()
