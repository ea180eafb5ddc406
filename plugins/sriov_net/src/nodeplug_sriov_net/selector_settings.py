"""What a pool selects, as types."""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Final, Literal

import msgspec

from nodeplug.values.section import Section
from nodeplug_sriov_net.patterns import parse, plain_address, plain_hex, plain_key
from nodeplug_sriov_net.reading import KINDS

DeviceType = Literal["netDevice", "accelerator", "auxNetDevice"]

_ALL: Final[tuple[DeviceType, ...]] = ("netDevice", "accelerator", "auxNetDevice")
_NETWORK: Final[tuple[DeviceType, ...]] = ("netDevice", "auxNetDevice")
_PCI: Final[tuple[DeviceType, ...]] = ("netDevice", "accelerator")
# The device types that a selector has a meaning for.
MEANT_FOR: Final[dict[str, tuple[DeviceType, ...]]] = {
    "vendors": _ALL,
    "devices": _ALL,
    "drivers": _ALL,
    "pci_addresses": _PCI,
    "acpi_indexes": _PCI,
    "aux_types": ("auxNetDevice",),
    "pf_names": _NETWORK,
    "root_devices": _NETWORK,
    "link_types": _NETWORK,
    "ddp_profiles": ("netDevice",),
    "p_keys": ("netDevice",),
    "is_rdma": _NETWORK,
    "vdpa_type": _NETWORK,
    "need_vhost_net": _NETWORK,
    "netdevs": _NETWORK,
    "macs": _NETWORK,
    "numa_nodes": _ALL,
    "min_speed_mbps": _NETWORK,
}
_RANGED: Final = ("pf_names", "root_devices")
_ID: Final = (plain_hex, "[0-9a-f]{4}", "id of four hexadecimal digits")
# Domains behind Intel's VMD have five digits.
_ADDRESS: Final = (plain_address, "[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f][.][0-7]")
# How the entries of a list are brought into one form, what that is, and what it is called.
_FORMS: Final[dict[str, tuple[Callable[[str], str], str, str]]] = {
    "vendors": _ID,
    "devices": _ID,
    "pci_addresses": (*_ADDRESS, "PCI address; rootDevices take ranges of functions"),
    "root_devices": (*_ADDRESS, "PCI address"),
    "acpi_indexes": (str, "[0-9]+", "number"),
    "link_types": (str, "|".join(("[0-9]+", *KINDS.values())), "kind of link, such as ether"),
    "p_keys": (plain_key, "[0-9a-f]{1,4}", "partition key of up to four hexadecimal digits"),
}
_WILD: Final = r"[0-9a-f:.*?\[\]!-]+"

Texts = tuple[str, ...]


class SelectorSettings(Section, frozen=True, kw_only=True):
    """Which devices are meant: those that every key given here selects.

    A list selects what one of its entries matches; `*`, `?` and `[...]` are patterns, and what an
    entry after `!` matches is left out.
    """

    vendors: Annotated[Texts, msgspec.Meta(description="PCI vendor ids, `8086` or `0x8086`.")] = ()
    devices: Annotated[Texts, msgspec.Meta(description="PCI device ids, likewise.")] = ()
    drivers: Annotated[
        Texts,
        msgspec.Meta(description="Names of the bound driver; of the parent's for sub-functions."),
    ] = ()
    pci_addresses: Annotated[
        Texts, msgspec.Meta(description="PCI addresses, `0000:3b:02.1` or `3b:02.1`.")
    ] = ()
    acpi_indexes: Annotated[
        Texts, msgspec.Meta(description="Numbers that the firmware gives (`acpi_index`).")
    ] = ()
    aux_types: Annotated[
        Texts,
        msgspec.Meta(description="Kinds of auxiliary devices: `sf`. Needed for `auxNetDevice`."),
    ] = ()
    pf_names: Annotated[
        Texts,
        msgspec.Meta(
            description="Network devices of physical functions, in any case. `ens1#0-3,7` means "
            "the virtual functions 0, 1, 2, 3 and 7, or sub-functions by number."
        ),
    ] = ()
    root_devices: Annotated[
        Texts,
        msgspec.Meta(description="PCI addresses of physical functions, with ranges likewise."),
    ] = ()
    link_types: Annotated[
        Texts, msgspec.Meta(description="`ether`, `infiniband` and the like.")
    ] = ()
    ddp_profiles: Annotated[
        Texts, msgspec.Meta(description="Names of loaded DDP packages, as devlink tells them.")
    ] = ()
    p_keys: Annotated[
        Texts, msgspec.Meta(description="First partition key of an InfiniBand port.")
    ] = ()
    is_rdma: Annotated[
        bool, msgspec.Meta(description="Only what is capable of RDMA; containers get its nodes.")
    ] = False
    vdpa_type: Annotated[
        Literal["", "vhost", "virtio"],
        msgspec.Meta(description="Only what has a vDPA device bound to this kind of driver."),
    ] = ""
    need_vhost_net: Annotated[
        bool,
        msgspec.Meta(description="Whether containers get `/dev/vhost-net` and `/dev/net/tun`."),
    ] = False
    netdevs: Annotated[
        Texts, msgspec.Meta(description="Names of the device's own network device.")
    ] = ()
    macs: Annotated[Texts, msgspec.Meta(description="Its hardware addresses, in any case.")] = ()
    numa_nodes: Annotated[
        tuple[int, ...], msgspec.Meta(description="NUMA nodes of which it is on one.")
    ] = ()
    min_speed_mbps: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            description="Least speed of its link, or of its physical function's, in Mbit/s.",
        ),
    ] = 0

    def __post_init__(self) -> None:
        self._check_lists()
        if self.is_rdma and self.vdpa_type:
            raise ValueError("isRdma: contradicts vdpaType; keep one of them")
        unknown = [each for each in self.aux_types if each != "sf"]
        if unknown:
            raise ValueError(f"auxTypes: {unknown[0]!r} is not known; 'sf' is")

    def check_for(self, device_type: DeviceType) -> None:
        """Refuse keys that mean nothing for a device type."""
        for key in self.given():
            if device_type not in MEANT_FOR[key]:
                raise ValueError(f"{camel(key)}: means nothing for deviceType {device_type}")
        if device_type == "auxNetDevice" and not self.aux_types:
            raise ValueError("auxTypes: is missing; deviceType auxNetDevice needs ['sf']")

    def given(self) -> list[str]:
        """Return the keys that are set to something."""
        return [key for key in self.__struct_fields__ if getattr(self, key)]

    def given_keys(self) -> list[str]:
        """Return the same as configuration files have them."""
        return [camel(key) for key in self.given()]

    @property
    def names_rdma_devices(self) -> bool:
        """Whether it means nothing but the RDMA of devices that it names, each by itself."""
        entries = self.pci_addresses or self.netdevs
        return (
            self.is_rdma and bool(entries) and not any(set(each) & set("!*?[") for each in entries)
        )

    def _check_lists(self) -> None:
        for key in self.given():
            entries = getattr(self, key)
            if isinstance(entries, tuple) and key != "numa_nodes":
                _check_list(key, entries)


def camel(key: str) -> str:
    """Return a key as configuration files have it."""
    first, *others = key.split("_")
    return first + "".join(word.capitalize() for word in others)


def _check_list(key: str, entries: Sequence[str]) -> None:
    normal, form, meant = _FORMS.get(key, (str, "", ""))
    for entry in entries:
        try:
            pattern = parse(entry, normal, ranged=key in _RANGED)
        except ValueError as error:
            raise ValueError(f"{camel(key)}: {error}") from error
        wild = _WILD if normal is not str else ".+"
        if form and not re.fullmatch(
            wild if set(pattern.text) & set("*?[") else form, pattern.text
        ):
            raise ValueError(f"{camel(key)}: {entry!r} is no {meant}")
