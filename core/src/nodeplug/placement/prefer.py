"""The answer to one preferred-allocation request."""

from collections.abc import Callable, Collection, Sequence

from nodeplug.offers import Policy
from nodeplug.placement.aligned import choose_aligned
from nodeplug.placement.atlas import Atlas
from nodeplug.placement.shortlist import choose_of_many
from nodeplug.placement.tree import Place, choose_packed, choose_spread, plant

# So many are compared, each with each; what that needs is worked out once per offer.
_FEW = 256

_BY_TREE: dict[Policy, Callable[[Place, int], list[int]]] = {
    "packed": choose_packed,
    "spread": choose_spread,
}


def prefer(
    atlas: Atlas, policy: Policy, available: Collection[str], must: Collection[str], size: int
) -> list[str]:
    """Return `size` ids out of those available, all of `must` among them, sorted.

    Never fails: where the request makes no sense the answer is empty, and the kubelet chooses
    (R50).
    """
    known = atlas.position
    free = {known[device_id] for device_id in available if device_id in known}
    fixed = {known[device_id] for device_id in must if device_id in known}
    if not fixed <= free or not len(fixed) <= size <= len(free) or len(fixed) < len(set(must)):
        return []
    if size == len(free):
        return sorted(atlas.devices[position].id for position in free)
    if policy == "aligned" and len(atlas.devices) <= _FEW:
        chosen: Sequence[int] = choose_aligned(atlas.weights, free, fixed, size)
    elif policy == "aligned":
        chosen = choose_of_many(atlas, free, fixed, size)
    else:
        chosen = _choose_by_tree(atlas, policy, free, fixed, size)
    return sorted(atlas.devices[position].id for position in chosen)


def _choose_by_tree(
    atlas: Atlas, policy: Policy, free: set[int], fixed: set[int], size: int
) -> list[int]:
    chosen = sorted(fixed)
    devices = {atlas.devices[position].device.id for position in fixed}
    distinct = [p for p in sorted(free - fixed) if atlas.devices[p].device.id not in devices]
    for candidates in (_one_each(atlas, distinct), sorted(free - fixed)):
        taken = set(chosen)
        rest = [p for p in candidates if p not in taken]
        used = set(range(len(atlas.devices))) - free | taken
        tree = plant(atlas.paths, set(rest), used)
        chosen += _BY_TREE[policy](tree, min(size - len(chosen), len(rest)))
        if len(chosen) == size:
            break
    return chosen


def _one_each(atlas: Atlas, candidates: Sequence[int]) -> list[int]:
    """Return one replica of each device: a second one is of no use to the same container."""
    first: dict[str, int] = {}
    for position in candidates:
        first.setdefault(atlas.devices[position].device.id, position)
    return list(first.values())
