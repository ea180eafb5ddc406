"""What a device is made of: a port and the card that it belongs to."""

import msgspec

from nodeplug_intel_fpga.ids import good_id
from nodeplug_intel_fpga.layouts import LAYOUTS


class PortFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One port. It can be written down and read back.

    `address` is that of its PCI function, `card` that of the physical function; they differ for a
    virtual function. `name` is the kernel's, `number` the port's number on the card, -1 where it
    cannot be known. `interface` and `afu` are good ids or empty, and so is `bitstream`. `node` and
    `engine_node` are host paths or empty. `pci_id` is "vendor:device"; `places` lead from the host
    to the function.
    """

    address: str
    card: str
    name: str
    number: int
    layout: str
    node: str
    engine_node: str
    interface: str
    afu: str
    bitstream: str
    pci_id: str
    numa: tuple[int, ...]
    places: tuple[str, ...]

    @property
    def key(self) -> str:
        """What the kernel calls it; the same while the driver is bound."""
        return f"{self.address}/{self.name}"

    @property
    def id(self) -> str:
        """The device's id: the same over restarts and replugs."""
        return f"fpga-{self.address}-port{self.number}"

    @property
    def virtual(self) -> bool:
        """Whether it is the port of a virtual function."""
        return self.address != self.card

    @property
    def sound(self) -> bool:
        """Whether a device can be made of it: what was read back may be anything."""
        ids = (self.interface, self.afu)
        known = any(each.name == self.layout for each in LAYOUTS)
        return known and self.number >= 0 and all(not each or good_id(each) for each in ids)

    def filled(self, before: "PortFacts | None") -> "PortFacts":
        """Return the facts with what is not known now as it was before."""
        if before is None:
            return self
        return msgspec.structs.replace(
            self,
            number=before.number if self.number < 0 else self.number,
            node=self.node or before.node,
            engine_node=self.engine_node or before.engine_node,
            interface=self.interface or before.interface,
            afu=self.afu or before.afu,
            bitstream=self.bitstream or before.bitstream,
        )
