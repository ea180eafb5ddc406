"""What the host's buses show in one look: each is read once, however many entries ask."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from typing import Final, TypeVar

from msgspec.structs import replace

from nodeplug.backend import Omissions
from nodeplug.host.pci import PciDevice, pci_addresses, pci_device
from nodeplug.host.reads import Answer, Question, Reads
from nodeplug.host.root import HostRoot
from nodeplug.host.usb import UsbDevice, usb_device, usb_ports, usb_serial
from nodeplug_custom.kernel_devices import KernelDevice, devices_of

_PENDING: Final = "has not answered yet"

T = TypeVar("T")
D = TypeVar("D", UsbDevice, PciDevice)


class Buses:
    """One look. All that is read of a device is read by `reads`, for it may not answer.

    `left_out` is what was too odd to be made sense of. `troubles` says of which devices something
    could not be read now, by devpath, and why; `unknown` are those that never said who they are.
    """

    def __init__(self, root: HostRoot, reads: Reads, left_out: Omissions) -> None:
        self.root = root
        self.left_out = left_out
        self.troubles: dict[str, str] = {}
        self.unknown: set[str] = set()
        self._reads = reads
        self._subsystems: dict[str, list[KernelDevice]] = {}
        self._serials: dict[str, Answer[str]] = {}

    @cached_property
    def usb(self) -> Mapping[str, UsbDevice]:
        """The USB devices by port, without their serial numbers."""
        ports = usb_ports(self.root)
        found = self._all({f"usb {port}": _asking(usb_device, self.root, port) for port in ports})
        return {usb.port: usb for usb in found}

    @cached_property
    def pci(self) -> Mapping[str, PciDevice]:
        """The PCI functions by address."""
        places = pci_addresses(self.root)
        found = self._all({f"pci {each}": _asking(pci_device, self.root, each) for each in places})
        return {pci.address: pci for pci in found}

    def of(self, subsystem: str) -> list[KernelDevice]:
        """Return the devices of a subsystem, with nodes or not; all with nodes if it is empty."""
        if subsystem not in self._subsystems:
            self._subsystems[subsystem] = devices_of(self.root, subsystem)
        return self._subsystems[subsystem]

    def with_serials(self, wanted: Iterable[UsbDevice]) -> Iterator[UsbDevice]:
        """Yield devices with their serial numbers, less those that have still time to answer.

        One that never did has none, and is `unknown`.
        """
        devices = {f"serial {each.devpath} {each.devnum}": each for each in wanted}
        unread = {
            key: Question(f"usb {usb.port}", "serial", partial(usb_serial, self.root, usb))
            for key, usb in devices.items()
            if key not in self._serials
        }
        self._serials |= self._reads.ask(unread)
        for key, usb in devices.items():
            answer = self._serials[key]
            if answer.trouble:
                self.troubles[usb.devpath] = answer.trouble
                self.unknown |= {usb.devpath} if answer.value is None else set()
            if not answer.pending:
                yield replace(usb, serial=answer.value or None)

    def ask(self, questions: Mapping[str, Question[T]]) -> Iterator[tuple[str, T | None, str]]:
        """Yield keys, what there is, and what is the trouble with it, or empty."""
        for key, answer in self._reads.ask(questions).items():
            with self.left_out.alone(questions[key].device):
                yield key, answer.get(), answer.trouble or _PENDING * answer.pending

    def _all(self, questions: Mapping[str, Question[D | None]]) -> Iterator[D]:
        for _, device, trouble in self.ask(questions):
            if device is not None:
                if trouble:
                    self.troubles[device.devpath] = trouble
                yield device


def _asking(read: Callable[[HostRoot, str], T], root: HostRoot, name: str) -> Question[T]:
    return Question(name, "sysfs", partial(read, root, name))
