"""The suite for backends finds devices that are the same hardware."""

from dataclasses import replace
from pathlib import Path

import pytest

from nodeplug.backend import Backend
from nodeplug.host.host import Host
from nodeplug.testing.contract import BackendContract
from nodeplug.values.device import Device
from nodeplug.values.edits import ContainerEdits, DeviceNode, Mount
from support.awkward.backend import SPEC, Settings
from support.ward import Fixed


def suite(root: Path, *paths: str, mounted: bool = False) -> BackendContract:
    """Return the suite for a backend whose devices have these nodes or files."""
    (root / "dev").mkdir()
    for name in ("one", "two"):
        (root / "dev" / name).touch()
    (root / "dev/twin").hardlink_to(root / "dev/one")
    (root / "dev/link").symlink_to("one")
    devices = [
        Device(
            id=path.rpartition("/")[2],
            resource="awkward.example.com/board",
            edits=ContainerEdits(mounts=(Mount(path, read_only=False),))
            if mounted
            else ContainerEdits(nodes=(DeviceNode(path),)),
        )
        for path in paths
    ]

    def build(_settings: Settings, _host: Host, _previous: Backend | None) -> Backend:
        return Fixed(*devices)

    class Suite(BackendContract):
        spec = replace(SPEC, build=build, capabilities=frozenset())

    return Suite()


@pytest.mark.parametrize("other", ["twin", "link"])
@pytest.mark.parametrize("mounted", [False, True])
def test_two_devices_with_one_node_break_the_contract(
    tmp_path: Path, other: str, *, mounted: bool
) -> None:
    """By whatever names."""
    broken = suite(tmp_path, "/dev/one", f"/dev/{other}", mounted=mounted)
    with pytest.raises(AssertionError, match=f"one and {other}|{other} and one"):
        broken.test_no_two_healthy_devices_are_the_same_hardware(tmp_path)


def test_devices_with_nodes_of_their_own_keep_it(tmp_path: Path) -> None:
    """So that it finds nothing where nothing is."""
    sound = suite(tmp_path, "/dev/one", "/dev/two")
    sound.test_no_two_healthy_devices_are_the_same_hardware(tmp_path)
