"""`nodeplug show-container` tells what a container got, and whether it can be opened."""

import json
import tempfile
from pathlib import Path

import pytest

from nodeplug.operations.container import Item, contents, missing
from support.bundle import in_container
from support.needs import require

MOUNTS = """\
21 1 0:2 / / ro - overlay overlay rw
22 21 0:3 / /proc rw - proc proc rw
23 22 0:3 /bus /proc/bus ro - proc proc rw
24 21 0:4 / /dev/shm rw - tmpfs shm rw
25 21 8:1 /x /etc/hosts rw - ext4 /dev/sda1 rw
26 21 8:1 /a /e2e/a\\040b ro - ext4 /dev/sda1 rw
27 21 8:1 /b /e2e/b rw - ext4 /dev/sda1 rw
28 21 8:1 /c /gone rw - ext4 /dev/sda1 rw
29 21 0:5 / /run/secrets/kubernetes.io/serviceaccount ro - tmpfs tmpfs rw
"""


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    for folder in ("dev/shm", "proc/self", "sys/class/net/net1", "e2e/a b"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "e2e/b").touch()
    (tmp_path / "proc/self/mountinfo").write_text(MOUNTS)
    return tmp_path


def test_mounts_are_those_that_not_every_container_has(root: Path) -> None:
    """And which of them can be opened."""
    found = [each for each in contents(root, {}) if each.kind == "mount"]
    assert found == [
        Item("mount", "/e2e/a b", "read-only, can be opened"),
        Item("mount", "/e2e/b", "writable, can be opened"),
        Item("mount", "/gone", "writable, cannot be opened: No such file or directory", good=False),
    ]


def test_environment_and_network_interfaces_are_shown(root: Path) -> None:
    """Multus gives the latter."""
    found = [*contents(root, {"B": "2", "A": "1"})]
    assert [each for each in found if each.kind != "mount"] == [
        Item("environment", "A", "1"),
        Item("environment", "B", "2"),
        Item("interface", "net1"),
    ]


@pytest.mark.parametrize(
    ("given", "lacks"),
    [({"A": "1"}, []), ({}, ["A"]), ({"A": ""}, ["A"])],
)
def test_what_must_be_there_and_is_not_is_named(
    root: Path, given: dict[str, str], lacks: list[str]
) -> None:
    """An empty variable says nothing."""
    found = [*missing(root, given, ("/e2e/b", "/nowhere"), ("A",))]
    assert [each.name for each in found] == ["/nowhere", *lacks]
    assert not any(each.good for each in found)


def test_a_device_is_opened_as_far_as_the_container_may() -> None:
    """By the rules of its control group."""
    require(Path("/dev/fuse").exists(), "there is no /dev/fuse")
    fuse = {"type": "c", "major": 10, "minor": 229}
    nodes = [
        {"path": "/dev/x/fuse", **fuse, "fileMode": 0o666},
        {"path": "/dev/loop-control", "type": "c", "major": 10, "minor": 237, "fileMode": 0o666},
    ]
    rules = [{"allow": True, **fuse, "access": "r"}]
    with tempfile.TemporaryDirectory(prefix="nps", dir="/tmp") as folder:
        arguments = ("show-container", "--output=json", "--path=/dev/null")
        done = in_container(Path(folder), arguments, nodes=nodes, rules=rules)
    assert done.returncode == 1, done.stderr
    found = {each["name"]: each["detail"] for each in json.loads(done.stdout)}
    assert found.items() >= {
        ("/dev/x/fuse", "10:229, read"),
        ("/dev/loop-control", "10:237, cannot be opened: Operation not permitted"),
    }
    assert "/dev/null" not in found  # neither missing nor worth a line
