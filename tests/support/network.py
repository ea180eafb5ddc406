"""A network namespace of our own, and links in it."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from nodeplug_sriov_net.adapters import function_place
from support.needs import require
from support.sriov_host import FakeHost

_CLONE_NEWNET = 0x40000000  # sched.h
_LIBC = ctypes.CDLL(None, use_errno=True)


@contextmanager
def private_network() -> Iterator[None]:
    """Put the calling thread, and what it starts, into a new network namespace; come back."""
    require(shutil.which("ip") is not None, "ip of iproute2 is missing")
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        made = _LIBC.unshare(_CLONE_NEWNET) == 0
        require(made, "a network namespace of our own needs root")
        yield
    finally:
        _LIBC.setns(before, _CLONE_NEWNET)
        os.close(before)


@contextmanager
def another_network() -> Iterator[str]:
    """Make a network namespace and give a path by which ip(8) finds it."""
    with private_network():
        descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        yield f"/proc/{os.getpid()}/fd/{descriptor}"
    finally:
        os.close(descriptor)


def ip(*commands: str) -> None:
    """Configure the network of this namespace with commands of iproute2."""
    lines = "\n".join(commands)
    command = ["/usr/bin/env", "ip", "-batch", "-"]
    done = subprocess.run(command, input=lines, text=True, check=False, capture_output=True)
    assert not done.returncode, done.stderr


class Cable:
    """The adapter `ens1` with virtual functions, its links being real: pairs of veth.

    The far end of a link is `far-<name>`: when it goes down, the link loses its carrier.
    """

    def __init__(self, fake: FakeHost, functions: int) -> None:
        names = ["ens1", *(f"ens1v{index}" for index in range(functions))]
        ip(*(self._make(name, 100 + number) for number, name in enumerate(names)))
        ip(*(f"link set {end}{name} up" for name in names for end in ("", "far-")))
        for number, name in enumerate(names):
            place = function_place(0, number - 1 if number else None)
            fake.tree.netdev(place, name, index=100 + number, speed=100_000)

    @staticmethod
    def _make(name: str, index: int) -> str:
        return f"link add {name} index {index} type veth peer name far-{name}"
