"""How close the devices of an offer are to each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from nodeplug.offers import Offer, OfferedDevice

# NUMA first, then links, then location: no number of lesser ties outweighs a greater one among
# the few devices that one container gets.
NUMA_WEIGHT = 1_000_000
LINK_WEIGHT = 1_000
_LINK_LIMIT = 100
# Two replicas of one device are of no use to one container.
SAME_DEVICE_WEIGHT = -1_000_000_000


@dataclass(frozen=True)
class Atlas:
    """The offered devices by position, in order of id, with what is derived from them."""

    devices: Sequence[OfferedDevice]
    links: Mapping[tuple[str, str], int]

    @classmethod
    def of(cls, offer: Offer) -> "Atlas":
        """Return the atlas of an offer."""
        return cls(sorted(offer.devices, key=lambda offered: offered.id), offer.links)

    @cached_property
    def position(self) -> Mapping[str, int]:
        """The position of each public id."""
        return {offered.id: index for index, offered in enumerate(self.devices)}

    @cached_property
    def paths(self) -> Sequence[tuple[str, ...]]:
        """The places of each device: NUMA node, location, physical device, device."""
        return [_path(offered) for offered in self.devices]

    @cached_property
    def weights(self) -> Sequence[Sequence[int]]:
        """For each device its closeness to every other; the more the better."""
        numa = {nodes: self._numa_row(nodes) for nodes in {_numa(o) for o in self.devices}}
        rows = [list(numa[_numa(offered)]) for offered in self.devices]
        self._add_locations(rows)
        self._add_links(rows)
        self._part_replicas(rows)
        return rows

    def _numa_row(self, nodes: tuple[int, ...]) -> list[int]:
        mine = set(nodes)
        return [NUMA_WEIGHT if mine.intersection(_numa(other)) else 0 for other in self.devices]

    def _add_locations(self, rows: list[list[int]]) -> None:
        for group in self._groups():
            if len(group) < len(rows):
                for index in group:
                    row = rows[index]
                    for other in group:
                        row[other] += 1

    def _groups(self) -> list[list[int]]:
        groups: dict[tuple[str, ...], list[int]] = {}
        for index, offered in enumerate(self.devices):
            location = (*offered.device.location, _root(offered))
            for depth in range(1, len(location) + 1):
                groups.setdefault(location[:depth], []).append(index)
        return [group for group in groups.values() if len(group) > 1]

    def _add_links(self, rows: list[list[int]]) -> None:
        members: dict[str, list[int]] = {}
        for index, offered in enumerate(self.devices):
            members.setdefault(_root(offered), []).append(index)
        for (one, other), weight in self.links.items():
            gain = LINK_WEIGHT * min(weight, _LINK_LIMIT)
            for first in members.get(one, ()):
                for second in members.get(other, ()):
                    rows[first][second] += gain
                    rows[second][first] += gain

    def _part_replicas(self, rows: list[list[int]]) -> None:
        replicas: dict[str, list[int]] = {}
        for index, offered in enumerate(self.devices):
            replicas.setdefault(offered.device.id, []).append(index)
        for group in replicas.values():
            for index in group:
                for other in group:
                    rows[index][other] = 0 if index == other else SAME_DEVICE_WEIGHT


def _numa(offered: OfferedDevice) -> tuple[int, ...]:
    return offered.device.numa_nodes


def _root(offered: OfferedDevice) -> str:
    return offered.device.parent or offered.device.id


def _path(offered: OfferedDevice) -> tuple[str, ...]:
    device = offered.device
    numa = ",".join(map(str, device.numa_nodes))
    return (f"numa {numa}", *device.location, _root(offered), device.id)
