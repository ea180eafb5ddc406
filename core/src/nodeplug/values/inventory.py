"""One backend's whole truth at a moment."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from nodeplug.values.device import Device
from nodeplug.values.edits import NO_EDITS, ContainerEdits
from nodeplug.values.errors import InvalidValueError
from nodeplug.values.names import check_resource_name

_NO_LINKS: Mapping[tuple[str, str], int] = MappingProxyType({})
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All devices a backend has, by id, in order of id.

    `resources` are the native names to advertise, those without devices included. Containers of
    the resources in `prepared` wait for the backend's `prepare`. `edits` are common to all
    devices. `links` says how well pairs of physical devices are connected besides their location:
    a weight of 1 or more by the two ids; what is not in it is not linked. `left_out` says by name
    why things of the host are no devices though they should be.
    """

    devices: Mapping[str, Device]
    resources: frozenset[str]
    prepared: frozenset[str] = frozenset()
    edits: ContainerEdits = NO_EDITS
    links: Mapping[tuple[str, str], int] = field(default_factory=lambda: _NO_LINKS)
    left_out: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    @classmethod
    def of(
        cls,
        devices: Iterable[Device],
        *,
        resources: Iterable[str] = (),
        prepared: Iterable[str] = (),
        edits: ContainerEdits = NO_EDITS,
        links: Mapping[tuple[str, str], int] = _NO_LINKS,
    ) -> "Inventory":
        """Return the inventory of these devices; raise InvalidValueError on a repeated id."""
        ordered = sorted(devices, key=lambda device: device.id)
        by_id = {device.id: device for device in ordered}
        if len(by_id) != len(ordered):
            twice = next(a.id for a, b in itertools.pairwise(ordered) if a.id == b.id)
            raise InvalidValueError(f"device id {twice!r} stands for two devices")
        names = {check_resource_name(name) for name in resources}
        return cls(
            devices=by_id,
            resources=frozenset(names.union(device.resource for device in ordered)),
            prepared=frozenset(prepared),
            edits=edits,
            links=links,
        )
