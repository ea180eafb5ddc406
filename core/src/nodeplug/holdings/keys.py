"""What the kubelet says of ids, and how ids are read."""

from collections.abc import Mapping

import msgspec

from nodeplug.values.hardware import EXCLUSIVE, Uses

Key = tuple[str, str]
"""A resource's public name and a device id in it."""

_REPLICA = "::"
_REPLICAS = "replicas of "


def physical_id(device_id: str) -> str:
    """Return the id of the device behind a public id, which may be a replica "<device>::<n>"."""
    return device_id.partition(_REPLICA)[0]


def uses_of_id(key: Key) -> Uses:
    """Return what is known of any device of ours by its id alone: ids are the node's (R23).

    Replicas of one resource share their device; nothing else does.
    """
    device, replica, _ = key[1].partition(_REPLICA)
    return {f"id {device}": replicas_of(key[0]) if replica else EXCLUSIVE}


def replicas_of(resource: str) -> str:
    """Return the group of those that share a device as replicas of a resource."""
    return f"{_REPLICAS}{resource}"


def held_as(key: Key, uses: Uses) -> Uses:
    """Return how an id uses what its device is now offered as, perhaps under another name."""
    own = replicas_of(key[0]) if _REPLICA in key[1] else EXCLUSIVE
    return {
        hardware: own if use == EXCLUSIVE or use.startswith(_REPLICAS) else use
        for hardware, use in uses.items()
    }


def id_uses(key: Key, offered: Uses) -> Uses:
    """Return how an id is used: not alone where all that the device is may be shared."""
    hardware = f"id {physical_id(key[1])}"
    return {hardware: offered[hardware]} if hardware in offered else uses_of_id(key)


def with_id(key: Key, uses: Uses) -> Uses:
    """Return uses that include that of the id."""
    return uses if f"id {physical_id(key[1])}" in uses else {**uses_of_id(key), **uses}


class Record(msgspec.Struct, frozen=True):
    """What the kubelet's checkpoint says of an id (R66).

    `numa` are its NUMA nodes, `paths` the host paths of the device nodes in the answer that the
    containers got, None where it has none, and `cdi` the names of CDI devices in it. `pods` are
    the uids of those that have it. One answer was given for all ids in `together`.
    """

    numa: tuple[int, ...] = ()
    paths: frozenset[str] | None = None
    pods: frozenset[str] = frozenset()
    together: frozenset[Key] = frozenset()
    cdi: frozenset[str] = frozenset()


Named = Mapping[str, Uses]
"""What hardware is behind the device nodes that an answer names, by their host paths."""


class Listing(msgspec.Struct, frozen=True):
    """What pod resources and then the kubelet's checkpoint said.

    `held` maps keys that running containers hold to their NUMA nodes. `recorded` has all keys in
    the checkpoint, init containers included; None where it cannot be read. `started` is the
    monotonic time before the first of both was asked. `written` is the checkpoint's identity:
    another one was written later. `named` says of keys what hardware their answers name now,
    `ended` which of the pods that were asked for have no processes, as far as can be seen. `stale`
    keys are in the checkpoint only because the kubelet has not written it since.
    """

    started: float
    held: Mapping[Key, tuple[int, ...]]
    recorded: Mapping[Key, Record] | None
    written: object = None
    named: Mapping[Key, Named] = msgspec.field(default_factory=dict)
    ended: frozenset[str] = frozenset()
    stale: frozenset[Key] = frozenset()
