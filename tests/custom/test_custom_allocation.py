"""What several devices bring to one container, and when they are refused."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

import pytest

from nodeplug.testing.patience import patience
from nodeplug.values.device import Device
from nodeplug.values.edits import ContainerEdits, DeviceNode, merge
from nodeplug.values.errors import AllocationRefusedError
from nodeplug_custom.backend import CustomBackend
from support.custom_host import RESOURCE, FakeHost, backend, settings

ENTRY = {"path": "/dev/a*", "containerPath": "/x/"}
ENV = {"ID": "{id}", "PATHS": "{path}", "MODE": "fast, {{safe}}"}


async def found(fake: FakeHost, *, node: bool = False) -> tuple[CustomBackend, Sequence[Device]]:
    for number in range(2):
        make = fake.node if node else fake.file
        make(f"/dev/a{number}")
    entry = ENTRY | {"type": "char" if node else "file"}
    made = backend(fake, settings(entry, env=ENV, annotations={"ids": "{id}", "on": "yes"}))
    async with aclosing(made.inventories()) as inventories:
        return made, [*(await anext(inventories)).devices.values()]


async def given(made: CustomBackend, devices: Sequence[Device]) -> ContainerEdits:
    """Return what the container gets, merged as core does."""
    added = await made.allocate(RESOURCE, devices)
    return merge([*(device.edits.yielding_to(added) for device in devices), added])


async def test_values_of_several_devices_are_joined(fake: FakeHost) -> None:
    """A template gives one value per device, in the order of ids; a plain text gives itself."""
    edits = await given(*await found(fake))
    assert edits.envs == {"ID": "dev:a0,dev:a1", "PATHS": "/x/a0,/x/a1", "MODE": "fast, {safe}"}


async def test_annotations_of_several_devices_are_joined(fake: FakeHost) -> None:
    """Annotations follow the rule of environment variables."""
    edits = await given(*await found(fake))
    assert edits.annotations == {"ids": "dev:a0,dev:a1", "on": "yes"}


async def test_one_device_brings_its_own_values(fake: FakeHost) -> None:
    """One value has nothing to be joined with."""
    made, devices = await found(fake)
    assert (await given(made, devices[1:])).envs["ID"] == "dev:a1"


async def test_a_renamed_resource_gets_the_same(fake: FakeHost) -> None:
    """The operator's public name changes nothing but the name."""
    made, devices = await found(fake)
    assert await made.allocate("a.b/renamed", devices) == await made.allocate(RESOURCE, devices)


@pytest.mark.parametrize("node", [True, False])
async def test_a_device_gone_a_moment_ago_is_refused(fake: FakeHost, *, node: bool) -> None:
    """What vanished after the last list, seen or not, never reaches a container."""
    made, devices = await found(fake, node=node)
    fake.remove("/dev/a1")
    with pytest.raises(AllocationRefusedError, match="/dev/a1 of device dev:a1 is not present"):
        await made.allocate(RESOURCE, devices)


async def test_a_refusal_names_the_device_at_fault(fake: FakeHost) -> None:
    """The others of the request are as good as before."""
    made, devices = await found(fake)
    fake.remove("/dev/a1")
    with pytest.raises(AllocationRefusedError) as caught:
        await made.allocate(RESOURCE, devices)
    assert caught.value.devices == {"dev:a1"}


async def test_a_refusal_is_followed_by_what_is_true_now(fake: FakeHost) -> None:
    """Also where that is nothing new: the device was away for a moment only."""
    made, devices = await found(fake)
    elsewhere = ContainerEdits(nodes=(DeviceNode("/dev/a9", "/dev/a9"),))
    async with patience(5), aclosing(made.inventories()) as inventories:
        first = await anext(inventories)
        with pytest.raises(AllocationRefusedError):
            await made.allocate(RESOURCE, [replace(devices[0], edits=elsewhere)])
        assert await anext(inventories) == first
