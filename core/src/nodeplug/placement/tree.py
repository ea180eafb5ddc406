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
        if free:
            self.free.append(position)
        else:
            self.used += 1
        if path:
            inner = self.inner.setdefault(path[0], Place(path[0]))
            inner.add(path[1:], position, free=free)


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
    enough = [inner for inner in place.inner.values() if len(inner.free) >= count]
    if enough:
        best = min(enough, key=lambda inner: (len(inner.free), -inner.used, inner.name))
        return choose_packed(best, count)
    largest = max(
        sorted(place.inner.values(), key=lambda inner: inner.name),
        key=lambda inner: (len(inner.free), inner.used),
    )
    taken = sorted(largest.free)
    others = {name: inner for name, inner in place.inner.items() if inner is not largest}
    rest = Place(place.name, [p for p in place.free if p not in taken], place.used, others)
    return taken + choose_packed(rest, count - len(taken))


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
