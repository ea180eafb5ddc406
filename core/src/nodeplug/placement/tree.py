"""The policies `packed` and `spread`: filling places up, or sharing them out.

Devices stand in a tree of places: NUMA node, location, physical device. A place that holds
devices in use counts as used.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

Path = tuple[str, ...]


@dataclass(slots=True)
class Place:
    """A place with the free devices in it, and how many in it are in use."""

    name: str
    free: list[int] = field(default_factory=list)
    used: int = 0
    inner: dict[str, "Place"] = field(default_factory=dict)

    def add(self, path: Path, position: int, *, free: bool) -> None:
        """Put a device into the place at the end of the path."""
        self.count(position, free=free)
        place = self
        for step in path:
            if step not in place.inner:
                place.inner[step] = Place(step)
            place = place.inner[step]
            place.count(position, free=free)

    def count(self, position: int, *, free: bool) -> None:
        """Count a device that is somewhere in the place."""
        if free:
            self.free.append(position)
        else:
            self.used += 1


def plant(paths: Sequence[Path], free: Collection[int], used: Collection[int]) -> Place:
    """Return the tree of the devices that may be taken and of those in use."""
    root = Place("")
    for position, path in enumerate(paths):
        if position in free or position in used:
            root.add(path, position, free=position in free)
    return root


def choose_packed(place: Place, count: int) -> list[int]:
    """Return free devices from as few places as possible, and from those used most already.

    The smallest place that has enough is taken, so that large ones stay whole.
    """
    if count >= len(place.free) or not place.inner:
        return sorted(place.free)[:count]
    inner = sorted(place.inner.values(), key=lambda each: (-len(each.free), -each.used, each.name))
    taken: list[int] = []
    while len(inner[0].free) < count - len(taken):
        taken += sorted(inner.pop(0).free)
    enough = [each for each in inner if len(each.free) >= count - len(taken)]
    best = min(enough, key=lambda each: (len(each.free), -each.used, each.name))
    return taken + choose_packed(best, count - len(taken))


def choose_spread(place: Place, count: int) -> list[int]:
    """Return free devices from places as many and as little used as possible."""
    return [_take_least_used(place) for _ in range(min(count, len(place.free)))]


def _take_least_used(place: Place) -> int:
    path = [place]
    while path[-1].inner:
        open_places = [inner for inner in path[-1].inner.values() if inner.free]
        path.append(min(open_places, key=lambda inner: (inner.used, -len(inner.free), inner.name)))
    position = min(path[-1].free)
    for step in path:
        step.free.remove(position)
        step.used += 1
    return position
