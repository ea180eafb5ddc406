"""What can be measured of devices: the state and the speed of the links that they use."""

from collections.abc import Iterable, Iterator

from nodeplug.backend import Measurement
from nodeplug.host.root import HostRoot
from nodeplug_sriov_net.candidates import Candidate
from nodeplug_sriov_net.facts import Link
from nodeplug_sriov_net.reading import read_link

# Kernel, Documentation/ABI/testing/sysfs-class-net: speed is in Mbit/s.
_BYTES_OF_MEGABIT = 125_000


def measure(root: HostRoot, devices: Iterable[Candidate]) -> list[Measurement]:
    """Return the state of links as sysfs has it, read once for each adapter. Blocks.

    The link of a virtual function is its physical function's: its own may be in a container.
    """
    found = list(devices)
    names = {link.name for device in found if (link := _port(device))}
    links = {name: read_link(f"{root.sys}/class/net/{name}", "full") for name in names}
    return [
        each
        for device in found
        if (port := _port(device)) and (link := links.get(port.name)) and link.carrier is not None
        for each in _measurements(device, link)
    ]


def measured(devices: Iterable[Candidate]) -> list[Measurement]:
    """Return the same as netlink has told it: a link of whose carrier nothing is said is down."""
    return [
        each
        for device in devices
        if (link := _port(device))
        for each in _measurements(device, link)
    ]


def _port(device: Candidate) -> Link | None:
    return device.owner_link or device.link


def _measurements(device: Candidate, link: Link) -> Iterator[Measurement]:
    yield Measurement(device.id, "link_up", float(link.carrier is True))
    if link.carrier and link.speed:
        speed = float(link.speed * _BYTES_OF_MEGABIT)
        yield Measurement(device.id, "link_speed_bytes_per_second", speed)
