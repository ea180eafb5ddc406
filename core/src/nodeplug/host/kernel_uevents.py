"""The events of this machine's kernel, over netlink."""

import os
import socket
from importlib import import_module
from typing import Any

from nodeplug.host.calls import call
from nodeplug.host.uevent_hub import Reader, UeventHub
from nodeplug.host.uevent_text import parse
from nodeplug.host.uevents import Uevent

_NETLINK_KOBJECT_UEVENT = 15  # linux/netlink.h
_KERNEL = (0, 1)  # sent by the kernel itself, to its own group
_MESSAGE_LIMIT = 16384  # the kernel's buffer is 2 KiB (UEVENT_BUFFER_SIZE), libudev's longer

# Importing pyudev runs ldconfig in search of libudev.
_IMPORT_TIMEOUT = 10.0


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
        pyudev = await call(import_module, "pyudev", timeout=_IMPORT_TIMEOUT)
    except (ImportError, TimeoutError):
        return _NetlinkReader()
    return _PyudevReader(pyudev)


class _PyudevReader:
    """Kernel events through pyudev's monitor."""

    def __init__(self, pyudev: Any) -> None:
        self._monitor = pyudev.Monitor.from_netlink(pyudev.Context(), "kernel")
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
        self._socket.bind(_KERNEL)

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> Uevent | None:
        while True:
            try:
                datagram, sender = self._socket.recvfrom(_MESSAGE_LIMIT)
            except BlockingIOError:
                return None
            if sender == _KERNEL:  # any process may send to a socket, but not from there
                return parse(datagram)

    def close(self) -> None:
        self._socket.close()
