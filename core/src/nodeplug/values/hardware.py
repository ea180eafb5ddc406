"""What containers collide on: hardware, named by keys, and how each holder uses it."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

HardwareKey = str
"""What stands for a piece of hardware on the node: a kind, a blank, a name.

"char 81:0" and "block 8:1" are device numbers, "pci 0000:03:00.0" a PCI function, "iommu 7" an
IOMMU group, "sys /devices/…" any other device of the kernel by its path below /sys, "path /dev/x" a
path of the host that has no device number, "id X" a device id of ours. Backends may add kinds of
their own.
"""
Use = str
"""How a piece of hardware is used: two uses of one meet unless they are the same and not exclusive.

`EXCLUSIVE` is alone, `PART` a part of it beside other parts; anything else names a group whose
members share it, replicas of one resource for example. `SHARED` is the group of all who use it as
what it is made for: a control node that many may open.
"""
EXCLUSIVE: Use = ""
PART: Use = "part"
SHARED: Use = "shared"

Uses = Mapping[HardwareKey, Use]
NO_USES: Uses = MappingProxyType({})


def meet(one: Use, other: Use) -> bool:
    """Whether two uses of the same hardware exclude each other."""
    return not one or one != other


def stronger(one: Use, other: Use) -> Use:
    """Return what a holder's two uses of the same hardware amount to."""
    if one == other:
        return one
    return EXCLUSIVE if EXCLUSIVE in {one, other} else max(one, other, key=lambda use: use != PART)


def united(parts: Iterable[Uses]) -> dict[HardwareKey, Use]:
    """Return all uses of one holder, the stronger where two are of the same hardware."""
    found: dict[HardwareKey, Use] = {}
    for part in parts:
        for key, use in part.items():
            found[key] = stronger(found.get(key, use), use)
    return found


def shared_as(group: Use, uses: Uses) -> dict[HardwareKey, Use]:
    """Return the uses of a device that several containers share: a group's instead of alone."""
    return {key: group if use == EXCLUSIVE else use for key, use in uses.items()}
