"""`nodeplug config diff` tells before a rollout what it changes on this node."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from nodeplug.cli.options import USAGE
from nodeplug.offers import Offer, OfferedDevice
from nodeplug.operations.difference import Offered, differences
from nodeplug.testing import Pod
from nodeplug.values.device import Device
from nodeplug.values.edits import ContainerEdits
from support.backends_stage import backends_stage, custom
from support.command import Result, nodeplug, write_config

T, U = "example.com/t", "example.com/u"


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    (tmp_path / "host" / "dev").mkdir(parents=True)
    for name in ("t0", "t1", "u0"):
        (tmp_path / "host" / "dev" / name).touch()
    return tmp_path / "host"


def entry(name: str, path: str, **keys: Any) -> dict[str, Any]:
    return {"name": name, "devices": [{"path": path, "type": "file"}], **keys}


def file(root: Path, name: str, *entries: dict[str, Any], **keys: Any) -> str:
    document = {"host": {"root": str(root)}, "backends": {"custom": {"resources": entries}}, **keys}
    folder = root.parent / name
    folder.mkdir(exist_ok=True)
    return str(write_config(folder, document))


def diff(old: str, new: str, *options: str) -> Result:
    return nodeplug("config", "diff", old, new, *options)


def told(old: str, new: str) -> Any:
    found = diff(old, new, "--output", "json")
    assert found.code == bool(json.loads(found.out)), found
    return json.loads(found.out)


def changes(old: str, new: str) -> dict[str, Any]:
    """Return by resource what is told of it, but for what stays as it is."""
    return {
        each["resource"]: {key: value for key, value in each.items() if value and key != "resource"}
        for each in told(old, new)
    }


def test_names_and_devices_that_come_and_go_are_told(root: Path) -> None:
    """A device whose entry was cut, a name that is new."""
    old = file(root, "old", entry(T, "/dev/t*"))
    new = file(root, "new", entry(T, "/dev/t1"), entry(U, "/dev/u*"))
    assert changes(old, new) == {
        T: {"change": "changed", "before": 2, "after": 1, "removed": ["dev:t0"]},
        U: {"change": "new", "after": 1, "added": ["dev:u0"]},
    }
    assert changes(new, old)[U] == {"change": "gone", "before": 1, "removed": ["dev:u0"]}


def test_what_is_offered_otherwise_is_told(root: Path) -> None:
    """Rules and quarantine; what containers get."""
    old = file(root, "old", entry(T, "/dev/t*"))
    rule = {"resource": T, "policy": "packed", "inject": "cdi"}
    isolated = {"devices": {"id": "dev:t0"}}
    new = file(
        root, "new", entry(T, "/dev/t*", env={"A": "1"}), offers=[rule], quarantine=[isolated]
    )
    assert changes(old, new)[T] == {
        "change": "changed",
        "before": 2,
        "after": 2,
        "sick": ["dev:t0"],
        "altered": ["dev:t0", "dev:t1"],
        "settings": {"policy": ["none", "packed"], "inject": ["devices", "cdi"]},
    }


def test_of_files_that_come_to_the_same_nothing_is_told(root: Path) -> None:
    """Whatever they look like."""
    old = file(root, "old", entry(T, "/dev/t*"))
    found = diff(old, file(root, "new", entry(T, "/dev/t?"), log={"level": "debug"}))
    assert (found.code, found.out) == (0, "")


def test_a_part_that_cannot_be_compared_is_named(root: Path) -> None:
    """The rest is compared all the same."""
    old = file(root, "old", entry(T, "/dev/t*"))
    found = diff(old, file(root, "new", entry(U, "/dev/u*"), entry("wrong", "/dev/t*")))
    assert found.code == USAGE
    assert "resources[1]" in found.err
    assert U in found.out


def test_a_backend_that_cannot_be_compared_is_not_said_to_lose_anything(root: Path) -> None:
    """An agent would go on with what worked last."""
    old, wrong = file(root, "old", entry(T, "/dev/t*")), file(root, "new", entry("x", "/dev/t*"))
    assert [(found.code, found.out) for found in (diff(old, wrong), diff(wrong, old))] == [
        (USAGE, ""),
        (USAGE, ""),
    ]


def test_devices_that_containers_share_otherwise_are_altered(root: Path) -> None:
    """Nothing else of them is another."""
    old, new = (
        {"name": T, "devices": [{"path": "/dev/t0", "type": "file", "exclusive": alone}]}
        for alone in (True, False)
    )
    assert changes(file(root, "old", old), file(root, "new", new))[T]["altered"] == ["dev:t0"]


def test_what_containers_get_with_every_device_is_compared() -> None:
    """As what a backend of GPUs gives with each."""
    devices = (OfferedDevice("d", Device(id="d", resource=T)),)
    before, after = (
        {T: Offered("b", Offer(T, devices, edits=ContainerEdits(envs={"A": value})))}
        for value in "01"
    )
    assert [each.altered for each in differences(before, after, {})] == [["d"]]


@pytest.mark.parametrize(("text", "problem"), [("a: [", "line 2"), ("[]", "expected `object`")])
def test_a_file_that_is_of_no_use_is_an_error(root: Path, text: str, problem: str) -> None:
    """Of one line."""
    broken = root / "broken.yaml"
    broken.write_text(f"{text}\n")
    found = diff(file(root, "old", entry(T, "/dev/t*")), str(broken))
    [line] = found.err.splitlines()
    assert (found.code, found.out, problem in line) == (USAGE, "", True)


def test_a_backend_that_is_not_installed_is_named(root: Path) -> None:
    """What it would offer cannot be said."""
    other = root / "other.yaml"
    other.write_text("backends: {nowhere: {}}\n")
    found = diff(file(root, "old", entry(T, "/dev/t*")), str(other))
    assert (found.code, "nowhere" in found.err) == (USAGE, True)


async def test_pods_that_have_what_would_go_are_named() -> None:
    """And no others."""
    async with backends_stage() as play:
        for name in ("t0", "t1"):
            (play.root / "dev").mkdir(exist_ok=True)
            (play.root / "dev" / name).touch()
        play.start(custom(entry(T, "/dev/t*")))
        await play.listed(T, 2)
        pods = [Pod.of({T: 1}) for _ in range(2)]
        for each in pods:
            await play.kubelet.admit(each)
        kubelet = {
            "devicePluginDir": str(play.directory),
            "podResourcesSocket": str(play.pod_resources),
        }
        old = file(play.root, "old", entry(T, "/dev/t*"), kubelet=kubelet)
        new = file(play.root, "new", entry(T, "/dev/t1"), kubelet=kubelet)
        [found] = await asyncio.to_thread(told, old, new)
        table = await asyncio.to_thread(diff, old, new)
    [(device, [pod])] = found["held"].items()
    assert (device, pod.partition("/")[2] in {each.name for each in pods}) == ("dev:t0", True)
    assert pod in table.out
