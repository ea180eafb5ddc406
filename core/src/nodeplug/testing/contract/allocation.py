"""What containers get of a backend's devices."""

import itertools
from contextlib import aclosing
from pathlib import Path

from nodeplug.backend import Backend
from nodeplug.testing.contract.staged import Staged, first_inventory, run
from nodeplug.testing.kubelet.sight import Eye, Seen
from nodeplug.values.device import Device
from nodeplug.values.edits import NO_EDITS, ContainerEdits, merge


class AllocationPromises(Staged):
    """Answers are repeatable, and fit together."""

    def test_allocate_depends_on_its_arguments_alone(self, tmp_path: Path) -> None:
        """Requests are repeated (R46), and answers outlive the agent (R45)."""
        first, resource, devices = self.allocatable(tmp_path)
        second, _, _ = self.allocatable(tmp_path)
        replies = [run(each.allocate(resource, devices)) for each in (first, first, second)]
        assert replies[0] == replies[1] == replies[2]

    def test_every_device_alone_gets_edits(self, tmp_path: Path) -> None:
        """A container that asked for a device can use it."""
        backend, resource, devices = self.allocatable(tmp_path)
        for device in devices:
            added = run(backend.allocate(resource, [device]))
            assert _all_edits([device], added) != NO_EDITS

    def test_all_devices_fit_into_one_container(self, tmp_path: Path) -> None:
        """No two devices contradict each other (R60)."""
        backend, resource, devices = self.allocatable(tmp_path)
        added = run(backend.allocate(resource, devices))
        edits = _all_edits(devices, added)
        assert all({*device.edits.nodes} <= {*edits.nodes} for device in devices)

    def test_no_two_healthy_devices_are_the_same_hardware(self, tmp_path: Path) -> None:
        """Containers collide on what is behind the nodes that they get, not on ids."""
        backend, _ = self.backend(tmp_path)
        given = run(_what_each_gives(backend))
        eye = Eye(tmp_path)
        seen = {device_id: _look(eye, edits) for device_id, edits in given.items()}
        for one, other in itertools.combinations(seen, 2):
            assert not seen[one].meets(seen[other]), f"{one} and {other}"

    def test_resources_do_not_fight_over_environment_variables(self, tmp_path: Path) -> None:
        """One container may use two resources of this backend (R60)."""
        backend, _ = self.backend(tmp_path)
        merge(run(_one_of_each_resource(backend)))


def _all_edits(devices: list[Device], added: ContainerEdits) -> ContainerEdits:
    return merge([*(device.edits.yielding_to(added) for device in devices), added])


async def _what_each_gives(backend: Backend) -> dict[str, ContainerEdits]:
    inventory = await first_inventory(backend)
    healthy = [device for device in inventory.devices.values() if device.healthy]
    return {
        device.id: _all_edits([device], await backend.allocate(device.resource, [device]))
        for device in healthy
    }


def _look(eye: Eye, edits: ContainerEdits) -> Seen:
    mounts = [(mount.host_path, mount.read_only) for mount in edits.mounts]
    return eye.look_at((node.host_path for node in edits.nodes), mounts, edits.envs.items())


async def _one_of_each_resource(backend: Backend) -> list[ContainerEdits]:
    async with aclosing(backend.inventories()) as inventories:
        inventory = await anext(inventories)
    by_resource = itertools.groupby(
        sorted(inventory.devices.values(), key=lambda device: device.resource),
        key=lambda device: device.resource,
    )
    edits = []
    for resource, devices in by_resource:
        device = next(devices)
        edits.append(_all_edits([device], await backend.allocate(resource, [device])))
    return edits
