"""What the kubelet must be shown, worked out from what the campaign did to the hardware."""

import json
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from chaos.world import World

BOARD = "awkward.example.com/board"
RENAMED = "awkward.example.com/board-renamed"
# On a file system that may hang.
REMOTE, REMOTE_DIR, REMOTE_DISKS = "example.com/remote-disk", "remote", ("disk0", "disk1")


class Losable(Protocol):
    """Simulated hardware that can lose a device."""

    @property
    def resource(self) -> str: ...

    def lose(self) -> str: ...

    def recover(self) -> None: ...


class VendorTruth:
    """One simulated vendor: its devices at the start, less the one that is lost."""

    def __init__(self, simulator: Losable) -> None:
        self.simulator = simulator
        self.resource = simulator.resource
        self.sound: AbstractSet[str] = frozenset()
        self.lost = ""

    def lose(self) -> None:
        """Lose a device, as the simulator chooses."""
        self.lost = self.simulator.lose()

    def recover(self) -> None:
        """Get it back."""
        self.simulator.recover()
        self.lost = ""

    def healthy(self) -> AbstractSet[str]:
        """Return the ids that must be Healthy; no other may be."""
        return self.sound - {self.lost}


class Truth:
    """The whole of it, by resource."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def all_listed(self) -> bool:
        """Whether each resource has its first devices."""
        names = [BOARD, REMOTE, *(vendor.resource for vendor in self._world.vendors)]
        return all(self._shown(name) for name in names)

    def take(self) -> None:
        """Take what is shown of the vendors for the truth: nothing has been lost yet."""
        for vendor in self._world.vendors:
            vendor.sound = self._shown(vendor.resource)
            if len(vendor.sound) < 4:
                raise AssertionError(f"{vendor.resource} has only {sorted(vendor.sound)}")

    def resources(self) -> list[str]:
        """Return the resources that pods may ask for."""
        remote = [] if self._world.hanging else [REMOTE]
        return [BOARD, RENAMED, *remote, *(vendor.resource for vendor in self._world.vendors)]

    def healthy(self, resource: str) -> AbstractSet[str]:
        """Return the ids that must be Healthy under a name."""
        if resource in {BOARD, RENAMED}:
            return self._boards(resource)
        if resource == REMOTE:
            return {f"{REMOTE_DIR}:{name}" for name in REMOTE_DISKS}
        [vendor] = [each for each in self._world.vendors if each.resource == resource]
        return vendor.healthy()

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
        return [*self._unwritten(BOARD, sick - renamed), *self._unwritten(RENAMED, renamed)]

    def _missing_on_host(self) -> Iterator[str]:
        for resource in (BOARD, RENAMED):
            yield from self._unwritten(resource, self._shown(resource))

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
            if rule["inject"] == "cdi":
                shown = self._shown(str(rule["resource"]))
                yield from (f"specification of {device_id}" for device_id in shown - described)

    def _differences(self) -> Iterator[str]:
        for resource in self.resources():
            shown, true = self._shown(resource), self.healthy(resource)
            if shown != true:
                yield (
                    f"{resource}: healthy but should not be {sorted(shown - true)}, "
                    f"should be but is not {sorted(true - shown)}"
                )

    def _boards(self, resource: str) -> AbstractSet[str]:
        state, held = self._world.state, self._world.kubelet.held
        other = RENAMED if resource == BOARD else BOARD
        boards = {f"awk-board-{number}" for number in range(state.boards)}
        named = boards & {*state.renamed}
        own = named if resource == RENAMED else boards - named
        # A device is Healthy under one name at a time: not while a pod has it under the other.
        return own - {*state.sick} - {*state.missing} - held(other)

    def _shown(self, resource: str) -> AbstractSet[str]:
        capacity = self._world.kubelet.capacity(resource)
        if not capacity or not capacity.allocatable:
            return frozenset()
        devices = self._world.kubelet.devices(resource).items()
        return {device_id for device_id, health in devices if health == "Healthy"}
