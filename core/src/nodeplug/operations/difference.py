"""What a node would offer otherwise by another configuration."""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import msgspec

from nodeplug.offers import Offer, OfferedDevice
from nodeplug.values.edits import ContainerEdits
from nodeplug.values.hardware import Uses

# What of an offer is a setting of the resource, by its name in the configuration.
_SETTINGS = {"policy": "policy", "inject": "inject", "single": "failRequestsGreaterThanOne"}


class Offered(NamedTuple):
    """What a backend offers under a public name."""

    backend: str
    offer: Offer


class Difference(msgspec.Struct, frozen=True, rename="camel"):
    """What becomes of a resource.

    `added` and `removed` are public ids, as the kubelet has them; `sick` can no longer be given,
    `well` can again; containers get something else with `altered` ones, or share them otherwise.
    `settings` maps what is set otherwise to its value before and after. `held` maps those ids to
    the pods that have them which are removed, sick or altered: these pods go on with what they got
    until a container of theirs starts again.
    """

    resource: str
    change: Literal["new", "gone", "changed"]
    before: int
    after: int
    added: list[str]
    removed: list[str]
    sick: list[str]
    well: list[str]
    altered: list[str]
    settings: Mapping[str, tuple[str, str]]
    held: Mapping[str, list[str]]


def differences(
    before: Mapping[str, Offered],
    after: Mapping[str, Offered],
    pods: Mapping[tuple[str, str], list[str]],
) -> Iterator[Difference]:
    """Yield what becomes of each resource that does not stay as it is.

    `pods` are those that have an id of a resource.
    """
    for name in sorted(before.keys() | after.keys()):
        found = _difference(name, before.get(name), after.get(name), pods)
        if found is not None:
            yield found


def _difference(
    name: str,
    before: Offered | None,
    after: Offered | None,
    pods: Mapping[tuple[str, str], list[str]],
) -> Difference | None:
    old, new = _devices(before), _devices(after)
    removed = sorted(old.keys() - new.keys())
    both = sorted(old.keys() & new.keys())
    sick = [i for i in both if old[i].device.healthy and not new[i].device.healthy]
    common = before is None or after is None or before.offer.edits == after.offer.edits
    altered = [i for i in both if not common or _given(old[i]) != _given(new[i])]
    hit = {i: pods[name, i] for i in [*removed, *sick, *altered] if (name, i) in pods}
    found = Difference(
        resource=name,
        change="new" if before is None else "gone" if after is None else "changed",
        before=len(old),
        after=len(new),
        added=sorted(new.keys() - old.keys()),
        removed=removed,
        sick=sick,
        well=[i for i in both if new[i].device.healthy and not old[i].device.healthy],
        altered=altered,
        settings=dict(_settings(before, after)) if before and after else {},
        held=hit,
    )
    same = not (found.added or removed or sick or found.well or altered or found.settings)
    return None if same and found.change == "changed" else found


def _devices(offered: Offered | None) -> Mapping[str, OfferedDevice]:
    return {each.id: each for each in offered.offer.devices} if offered else {}


def _given(offered: OfferedDevice) -> tuple[ContainerEdits, Uses]:
    return offered.device.edits, offered.device.hardware


def _settings(before: Offered, after: Offered) -> Iterator[tuple[str, tuple[str, str]]]:
    if before.backend != after.backend:
        yield "backend", (before.backend, after.backend)
    for attribute, key in _SETTINGS.items():
        old, new = getattr(before.offer, attribute), getattr(after.offer, attribute)
        if old != new:
            yield key, (_said(old), _said(new))


def _said(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value or "none")
