"""What the kubelet must be shown, worked out from what the campaign did to the hardware."""

import json
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from chaos.world import World

DOMAINS = ("awkward.example.com", "moved.example.com")
# On a file system that may hang.
REMOTE, REMOTE_DIR, REMOTE_DISKS = "example.com/remote-disk", "remote", ("disk0", "disk1")
_REPLICA = re.compile(r"::\d+$")


class Unit(NamedTuple):
    """An id of a resource, as the kubelet knows it."""

    resource: str
    id: str

    @property
    def device(self) -> str:
        """The id without the number of a replica."""
        return _REPLICA.sub("", self.id)

    def shares(self, other: "Unit") -> bool:
        """Whether both may be had at once: as one, or as replicas of one device."""
        replicas = self.id != self.device and other.id != other.device
        siblings = self.resource == other.resource and self.device == other.device
        return self == other or (replicas and siblings)


class Held(NamedTuple):
    """What a pod with live containers got: the hardware as it was then, and the node it is at.

    `since` is what has come to that node since, and what the id was for pods before it; `gone`
    says that the kubelet was told to forget the pod.
    """

    pod: str
    unit: Unit
    parts: frozenset[str]
    node: str
    since: frozenset[str] = frozenset()
    gone: bool = False


class Losable(Protocol):
    """Simulated hardware that can lose a device."""

    @property
    def resource(self) -> str: ...

    def lose(self) -> str: ...

    def recover(self) -> None: ...


class VendorTruth:
    """One simulated vendor: its devices at the start, less the one that is lost.

    While it is `steady` none is lost.
    """

    def __init__(self, simulator: Losable) -> None:
        self.simulator = simulator
        self.resource = simulator.resource
        self.sound: AbstractSet[str] = frozenset()
        self.lost = ""
        self.steady = False

    def lose(self) -> None:
        """Lose a device, as the simulator chooses."""
        if not self.steady:
            self.lost = self.simulator.lose()

    def recover(self) -> None:
        """Get it back."""
        self.simulator.recover()
        self.lost = ""


class Truth:
    """The whole of it, by resource."""

    def __init__(self, world: "World") -> None:
        self._world = world

    @property
    def board(self) -> str:
        """What boards are called now."""
        return f"{self._world.domain}/board"

    @property
    def renamed(self) -> str:
        """What those boards are called whose name changes."""
        return f"{self.board}-renamed"

    def all_listed(self) -> bool:
        """Whether each resource has its first devices."""
        names = [self.board, REMOTE, *(vendor.resource for vendor in self._world.vendors)]
        return all(self.shown(name) for name in names)

    def take(self) -> None:
        """Take what is shown of the vendors for the truth: nothing has been lost yet."""
        for vendor in self._world.vendors:
            vendor.sound = self.shown(vendor.resource)
            if len(vendor.sound) < 4:
                raise AssertionError(f"{vendor.resource} has only {sorted(vendor.sound)}")

    def resources(self) -> list[str]:
        """Return the resources that pods may ask for."""
        remote = [] if self._world.hanging else [REMOTE]
        vendors = [vendor.resource for vendor in self._world.vendors]
        own = self._world.hardware.names
        return [*dict.fromkeys([self.board, self.renamed, *remote, *vendors, *own])]

    def allowed(self, resource: str) -> set[str]:
        """Return the ids that may be Healthy: sound, and not in use as anything else."""
        units = (Unit(resource, each) for each in self._public(resource))
        return {unit.id for unit in units if not any(True for _ in self._users(unit))}

    def parts(self, unit: Unit) -> frozenset[str]:
        """Return what hardware an id leads to now."""
        return self._world.hardware.parts(unit.resource, unit.device)

    def users(self, unit: Unit, parts: frozenset[str]) -> Iterator[Held]:
        """Yield what pods have that excludes a unit which is this hardware."""
        for held in self._world.held:
            if parts & held.parts and not unit.shares(held.unit):
                yield held

    def is_doubtful(self, held: Held) -> bool:
        """Whether it does not matter how an id in use is shown: it has become something else.

        Its answer names another node, perhaps of the same device; a container that starts again
        gets that (R45). Or the kubelet alone decides, as it was told that the pod is gone.
        """
        node = self._world.hardware.node(held.unit.resource, held.unit.device)
        return held.gone or (held.node, held.parts) != (node, self.parts(held.unit))

    def followed(self, held: Held) -> Held:
        """Return what a pod has, with what is at its node now."""
        identity = self._world.hardware.nodes.identity(held.node) if held.node else ""
        return held._replace(since=held.since | {identity} - {"", *held.parts})

    def holds(self) -> bool:
        """Whether the kubelet's view is the truth."""
        return not any(True for _ in self._differences())

    def difference(self) -> str:
        """Return what is different, for people."""
        return "; ".join(self._differences())

    def missing_files(self) -> list[str]:
        """Return what of the devices that are shown should be written somewhere and is not."""
        return [*self._missing_on_host(), *self._missing_for_runtime()]

    def missing_of_sick_boards(self) -> list[str]:
        """Return what of the boards that are sick should be written somewhere and is not."""
        state = self._world.state
        sick = {*state.sick} - {*state.missing}
        renamed = sick & {*state.renamed}
        return [
            *self._unwritten(self.board, sick - renamed),
            *self._unwritten(self.renamed, renamed),
        ]

    def shown(self, resource: str) -> AbstractSet[str]:
        """Return the ids that the kubelet has for Healthy."""
        capacity = self._world.kubelet.capacity(resource)
        if not capacity or not capacity.allocatable:
            return frozenset()
        devices = self._world.kubelet.devices(resource).items()
        return {device_id for device_id, health in devices if health == "Healthy"}

    def _missing_on_host(self) -> Iterator[str]:
        for resource in (self.board, self.renamed):
            shown = {Unit(resource, each).device for each in self.shown(resource)}
            yield from self._unwritten(resource, shown)

    def _unwritten(self, resource: str, devices: AbstractSet[str]) -> Iterator[str]:
        for device_id in sorted(devices):
            file = self._world.host.path(f"/awkward/info-{device_id}")
            if not file.exists() or file.read_text() != resource:
                yield f"{file} of {resource}"

    def _missing_for_runtime(self) -> Iterator[str]:
        specs = []
        for file in self._world.agent.plugin_dir.with_name("cdi").glob("*.json"):
            with suppress(FileNotFoundError):  # it may go between the two
                specs.append(json.loads(file.read_bytes()))
        described = {entry["name"] for spec in specs for entry in spec["devices"]}
        for rule in self._world.rules:
            if rule.get("inject") == "cdi":
                resource = str(rule["resource"])
                shown = {Unit(resource, each).device for each in self.shown(resource)}
                yield from (f"specification of {device_id}" for device_id in shown - described)

    def _differences(self) -> Iterator[str]:
        """Yield what is shown and must not be, and what is withheld without a reason."""
        names = self._names()
        shown = {Unit(name, each) for name in names for each in self.shown(name)}
        allowed = {Unit(name, each) for name in names for each in self.allowed(name)}
        doubtful = {held.unit for held in self._world.held if self.is_doubtful(held)}
        sound = {Unit(name, each) for name in names for each in self._public(name)}
        for unit in sorted((shown - sound) | (shown - allowed - doubtful)):
            why = next(self._users(unit), "it is not sound")
            yield f"{unit} is healthy but should not be: {why}"
        offered = self._by_part(shown)
        for unit in sorted(shown - doubtful):
            if rival := next(self._rivals(unit, offered, doubtful), None):
                yield f"{unit} is offered beside {rival}"
        for unit in sorted(allowed - shown - doubtful):
            if not (any(self._rivals(unit, offered, frozenset())) or self._may_be_in_use(unit)):
                yield f"{unit} should be healthy but is not"

    def _names(self) -> list[str]:
        """Return all resources, those too that have other names now."""
        former = [f"{domain}/{kind}" for domain in DOMAINS for kind in ("board", "board-renamed")]
        return [*dict.fromkeys([*self.resources(), *former])]

    def _rivals(
        self, unit: Unit, offered: dict[str, list[Unit]], but: AbstractSet[Unit]
    ) -> Iterator[Unit]:
        for part in self.parts(unit):
            for other in offered.get(part, ()):
                if not unit.shares(other) and other not in but:
                    yield other

    def _by_part(self, units: AbstractSet[Unit]) -> dict[str, list[Unit]]:
        found: dict[str, list[Unit]] = {}
        for unit in units:
            for part in self.parts(unit):
                found.setdefault(part, []).append(unit)
        return found

    def _may_be_in_use(self, unit: Unit) -> bool:
        """Whether nobody can know that it is not.

        Containers may have started again since something else came to a node of theirs. An id that
        is given again before its last pod is known to have ended is what it was, too. And while
        disks are full, it is not written down that pods have ended.
        """
        disks, parts = self._world.disks, self.parts(unit)
        ended = self._world.ended if disks and disks.are_full else ()
        return any(parts & held.since for held in self._world.held) or any(
            held.unit == unit or parts & (held.parts | held.since) for held in ended
        )

    def _users(self, unit: Unit) -> Iterator[Held]:
        yield from self.users(unit, self.parts(unit))

    def _public(self, resource: str) -> Iterator[str]:
        """Yield the ids of devices that are sound, as they are offered."""
        for device_id in self._sound(resource):
            count = self._replicas(resource)
            yield from [f"{device_id}::{n}" for n in range(count)] if count > 1 else [device_id]

    def _replicas(self, resource: str) -> int:
        rules = (rule for rule in self._world.rules if rule["resource"] == resource)
        return int(str(next((rule.get("replicas", 1) for rule in rules), 1)))

    def _sound(self, resource: str) -> AbstractSet[str]:
        if resource in {self.board, self.renamed}:
            return self._boards(resource)
        if resource == REMOTE:
            return {f"{REMOTE_DIR}:{name}" for name in REMOTE_DISKS}
        lost = {vendor.lost for vendor in self._world.vendors}
        if resource in self._world.hardware.names:
            return self._world.hardware.devices(resource) - lost
        vendors = (each.sound for each in self._world.vendors if each.resource == resource)
        return next(vendors, frozenset()) - lost

    def _boards(self, resource: str) -> AbstractSet[str]:
        state = self._world.state
        boards = {f"awk-board-{number}" for number in range(state.boards)}
        named = boards & {*state.renamed}
        own = named if resource == self.renamed else boards - named
        return own - {*state.sick} - {*state.missing}
