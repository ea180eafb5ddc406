"""What is known of functions on PCI, as the kernel tells it and before any configuration."""

from collections.abc import Mapping

import msgspec

from nodeplug.host.pci import PciDevice


class Link(msgspec.Struct, frozen=True):
    """A network device. `carrier` is None where nothing is known of it, as while it is down.

    `kind` is `ether`, `infiniband` or another hardware type by its number; `speed` is in Mbit/s, 0
    where unknown. `master` and `lower` are the indexes of what it is a port of and lies upon,
    `driver` what kind of link it is to `ip -details link`, `port_of` what kind its master is.
    """

    index: int
    name: str
    kind: str = ""
    address: str = ""
    carrier: bool | None = None
    speed: int = 0
    switch: str = ""
    port: str = ""
    master: int = 0
    lower: int = 0
    driver: str = ""
    port_of: str = ""
    other_names: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Its name and those that it has besides."""
        return (self.name, *self.other_names)


class Rdma(msgspec.Struct, frozen=True):
    """An RDMA device, its nodes in the order in which containers get them, its first key."""

    name: str
    nodes: tuple[str, ...] = ()
    key: str = ""


class Vdpa(msgspec.Struct, frozen=True):
    """A vDPA device; `driver` is `vhost`, `virtio` or empty, `node` is there for vhost only."""

    name: str
    driver: str = ""
    node: str = ""


class Part(msgspec.Struct, frozen=True):
    """What a PCI function and a sub-function both have; `capable` is of RDMA."""

    links: tuple[Link, ...] = ()
    rdma: tuple[Rdma, ...] = ()
    capable: bool = False
    vdpa: tuple[Vdpa, ...] = ()


class SubFunction(msgspec.Struct, frozen=True):
    """An auxiliary device of kind `sf`; `number` is what the administrator has given it."""

    name: str
    number: int | None
    driver: str
    part: Part


class Function(msgspec.Struct, frozen=True):
    """A PCI function. `physfn` is the address of its physical function, empty where it has none.

    `virtual` maps index to address of its virtual functions. `group` is the number of its IOMMU
    group, `noiommu` says that there is no IOMMU behind it, `hindrance` why VFIO refuses the group;
    `by_vfio` that its driver is one of VFIO; `group_node`, `cdev` and `uio` are names of nodes,
    empty where the kernel has none. `is_shown` says that its driver has made a device of it,
    `is_probing` that the driver is still at it, `silent` that the kernel does not answer for it.
    """

    pci: PciDevice
    part: Part = Part()
    physfn: str = ""
    virtual: Mapping[int, str] = {}
    has_virtual: bool = False
    subs: tuple[SubFunction, ...] = ()
    group: str = ""
    noiommu: bool = False
    hindrance: str = ""
    group_node: str = ""
    cdev: str = ""
    uio: str = ""
    acpi_index: str = ""
    by_vfio: bool = False
    is_shown: bool = False
    is_probing: bool = False
    silent: bool = False

    @property
    def all_links(self) -> list[Link]:
        """Its network devices and those of its sub-functions."""
        return [link for part in (self.part, *(s.part for s in self.subs)) for link in part.links]

    @property
    def address(self) -> str:
        """The full PCI address."""
        return self.pci.address


def is_vfio(driver: str | None) -> bool:
    """Return whether a driver hands functions to user space by VFIO: vfio-pci and its kin."""
    return driver is not None and driver.replace("_", "-").endswith("vfio-pci")


def is_uio(driver: str | None) -> bool:
    """Return whether a driver hands functions to user space by UIO."""
    return driver in {"uio", "igb_uio", "uio_pci_generic"}
