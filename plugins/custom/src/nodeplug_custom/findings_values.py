"""Hardware that was found, as values."""

import msgspec

from nodeplug.host.pci import PciDevice
from nodeplug.host.usb import UsbDevice


class Parent(msgspec.Struct, frozen=True):
    """The physical device: what it is known by, and what it says of itself.

    `name` is what stays over a restart; for USB also over a replug: the serial number where there
    is one, else the port. Texts are the device's own and not to be trusted.
    """

    kind: str
    name: str
    devpath: str = ""
    address: str = ""
    bus: str = ""
    device: str = ""
    port: str = ""
    serial: str = ""
    vendor: str = ""
    product: str = ""
    driver: str = ""
    node: str = ""
    numa: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """What people call it, whether or not it says what it is."""
        return f"{self.kind} {self.port or self.address or self.name}"

    @classmethod
    def of_usb(cls, usb: UsbDevice) -> "Parent":
        """Return a USB device."""
        what = f"{usb.vid}-{usb.pid}-{usb.serial}" if usb.serial else usb.port
        return cls(
            kind="usb",
            name=what,
            devpath=usb.devpath,
            bus=str(usb.busnum),
            device=str(usb.devnum),
            port=usb.port,
            serial=usb.serial or "",
            vendor=usb.vid,
            product=usb.pid,
            node=usb.node,
            numa=usb.numa,
        )

    @classmethod
    def of_pci(cls, pci: PciDevice) -> "Parent":
        """Return a PCI function."""
        return cls(
            kind="pci",
            name=pci.address,
            devpath=pci.devpath,
            address=pci.address,
            vendor=pci.vendor,
            product=pci.device,
            driver=pci.driver or "",
            numa=pci.numa,
        )


class Finding(msgspec.Struct, frozen=True):
    """Something that an entry selects.

    `part` tells several of one parent apart; `missing` says why it is of no use now, or is empty.
    `whole` says that it is the parent with all its parts, for whoever has it alone. One that is not
    `known` never said who it is.
    """

    parent: Parent
    devpath: str
    nodes: tuple[str, ...]
    part: str = ""
    missing: str = ""
    subsystem: str = ""
    whole: bool = False
    known: bool = True

    @property
    def is_below(self) -> bool:
        """Whether it is a part of a USB device or PCI function, or that itself."""
        return self.parent.kind != "udev"

    @property
    def names(self) -> tuple[str, ...]:
        """What an operator may call it."""
        parent = self.parent
        known = (parent.name, parent.address, parent.port, parent.serial)
        return tuple(name for name in known if name)
