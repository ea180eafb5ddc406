"""How close physical devices are to each other."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from nodeplug.offers import OfferedDevice
from nodeplug.operations.topology.places import Spot
from nodeplug.placement.atlas import LINK_WEIGHT, NUMA_WEIGHT, Atlas

# The work grows with the square of the number.
LIMIT = 512


class Ties(NamedTuple):
    """What two devices have in common.

    `places` counts the steps of their location that they share and not all devices do; `link` is
    the weight that their backend gives the link between them, 0 for none.
    """

    numa: bool
    places: int
    link: int

    def __str__(self) -> str:
        """Show them in a few characters: N for the NUMA node, P and L with their numbers."""
        places = f"P{self.places}" if self.places else ""
        link = f"L{self.link}" if self.link else ""
        return f"{'N' if self.numa else ''}{places}{link}" or "-"


class Closeness(msgspec.Struct, frozen=True):
    """The closeness of each physical device, by id, to every other; the more the better."""

    ids: Sequence[str]
    weights: Sequence[Sequence[int]]

    def ties(self, one: int, other: int) -> Ties:
        """Return what makes two devices close, by their positions."""
        numa, rest = divmod(self.weights[one][other], NUMA_WEIGHT)
        link, places = divmod(rest, LINK_WEIGHT)
        return Ties(bool(numa), places, link)

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield the positions of all pairs with anything in common, each once."""
        for one in range(len(self.ids)):
            for other in range(one + 1, len(self.ids)):
                if self.weights[one][other]:
                    yield one, other


def closeness_of(spots: Sequence[Spot], links: Mapping[tuple[str, str], int]) -> Closeness | None:
    """Return the closeness of the physical devices in their order, or None for too many.

    Parts of a device are where it is; one of them stands for it.
    """
    physical: dict[str, Spot] = {}
    for spot in spots:
        physical.setdefault(spot.device.parent or spot.device.id, spot)
    if len(physical) > LIMIT:
        return None
    offered = [OfferedDevice(name, spot.device) for name, spot in physical.items()]
    return Closeness(list(physical), Atlas(offered, links).weights)
