"""The example files do what they say."""

import stat
from pathlib import Path
from typing import Any

import pytest

from nodeplug.config.load import Source, load_configuration
from nodeplug.values.device import Device
from nodeplug.values.edits import DeviceNode, Mount, merge
from nodeplug_custom.plugin import SPEC
from support.custom_host import FakeHost, backend, discover
from support.hardware_tree import HardwareTree

EXAMPLES = Path(__file__).parents[2] / "examples"


def section(name: str) -> Any:
    """Return the settings of an example, refused keys and all."""
    loaded = load_configuration([Source(EXAMPLES / name)], {"custom": SPEC})
    assert loaded.errors == []
    return loaded.sections["custom"]


async def devices(fake: FakeHost, example: str) -> list[Device]:
    return [*(await discover(fake, section(example))).devices.values()]


async def test_the_classic_example_serves_every_custom_device(fake: FakeHost) -> None:
    """Two nodes make two devices, each with its node, the mount, its id and its path."""
    for number in range(2):
        fake.node(f"/dev/custom-device-{number}")
    found = await devices(fake, "custom-device.yaml")
    added = await backend(fake, section("custom-device.yaml")).allocate("", found)
    edits = merge([*(device.edits.yielding_to(added) for device in found), added])
    assert edits.nodes == tuple(DeviceNode(f"/dev/custom-device-{n}") for n in range(2))
    assert edits.mounts == (Mount("/etc/custom-device"),)
    assert edits.envs == {
        "CUSTOM_DEVICE_ID": "dev:custom-device-0,dev:custom-device-1",
        "CUSTOM_DEVICE_PATH": "/dev/custom-device-0,/dev/custom-device-1",
    }


@pytest.mark.parametrize("name", ["fuse", "kvm"])
async def test_an_example_with_one_node_serves_it(fake: FakeHost, name: str) -> None:
    """The node is passed as it is on the host."""
    fake.node(f"/dev/{name}", stat.S_IFCHR)
    (device,) = await devices(fake, f"{name}.yaml")
    assert (device.resource, device.healthy) == (f"example.com/{name}", True)
    assert device.edits.nodes == (DeviceNode(f"/dev/{name}"),)


def test_every_example_is_valid() -> None:
    """Each is taken without an error and serves something."""
    files = sorted(path.name for path in EXAMPLES.glob("*.yaml"))
    assert [name for name in files if not section(name).resources] == []


async def test_the_camera_example_serves_a_camera_with_its_microphone(tmp_path: Path) -> None:
    """One device, all its nodes, its serial number."""
    tree = HardwareTree(tmp_path)
    camera = tree.usb("1-2", serial="A1")
    for number in range(2):
        tree.node(camera, "video4linux", f"video{number}", interface="1.0", index=str(number))
    tree.node(camera, "sound", "controlC1", interface="1.2")
    [device] = await devices(tree, "usb-camera.yaml")
    assert device.edits.envs["CAMERA_SERIAL"] == "A1"
    assert device.edits.envs["CAMERA_NODES"] == "/dev/video0,/dev/video1,/dev/controlC1"


async def test_the_vfio_example_serves_what_is_bound_to_it(tmp_path: Path) -> None:
    """And nothing else."""
    tree = HardwareTree(tmp_path)
    tree.vfio("0000:00:03.0", 12)
    tree.pci("0000:00:04.0", driver="e1000e")
    assert [device.id for device in await devices(tree, "vfio.yaml")] == ["pci-0000:00:03.0"]
