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


def test_what_the_wrong_part_of_a_file_may_give_is_not_said_to_go(root: Path) -> None:
    """Nor to come, where it is the old file's; that it is not compared is said."""
    whole = file(root, "old", entry(T, "/dev/t*"), entry(U, "/dev/u*"))
    part = file(root, "new", entry(T, "/dev/t1"), entry("wrong", "/dev/u*"))
    for old, new in ((whole, part), (part, whole)):
        found = diff(old, new)
        assert (found.code, found.out) == (USAGE, "")
        assert f"{part}: backend custom: is wrong in part" in found.err


def test_an_override_counts_where_the_node_is_known(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is not, nobody can say that all stays as it is."""
    plain = entry(T, "/dev/t*")
    more = {"backends": {"custom": {"resources": [entry(U, "/dev/u*")]}}}
    nodes = [{"names": ["worker-*"], "config": more}, {"labels": {"a": "b"}, "config": {}}]
    old, new = file(root, "old", plain), file(root, "new", plain, nodes=nodes)
    monkeypatch.delenv("NODE_NAME", raising=False)
    found = diff(old, new)
    assert (found.code, found.out) == (USAGE, "")
    assert found.err.splitlines()[:2] == [
        f"nodeplug: {new}: nodes[0]: is left out, NODE_NAME not being set",
        f"nodeplug: {new}: nodes[1]: is left out, NODE_LABELS_FILE not being set",
    ]
    labels = root / "labels"
    labels.write_text('{"a": "c"}')
    monkeypatch.setenv("NODE_LABELS_FILE", str(labels))
    for name, changed in (("worker-1", [U]), ("control-1", [])):
        monkeypatch.setenv("NODE_NAME", name)
        assert [*changes(old, new)] == changed


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


HIT: dict[str, tuple[Any, str]] = {
    "another path": ({"entry": entry(T, "/dev/t1")}, "removed"),
    "another name": ({"offers": [{"resource": T, "rename": U}]}, "removed"),
    "replicas": ({"offers": [{"resource": T, "replicas": 2}]}, "removed"),
    "quarantine": ({"quarantine": [{"devices": {"id": "dev:t0"}}]}, "sick"),
    "environment": ({"entry": entry(T, "/dev/t*", env={"A": "1"})}, "altered"),
}


async def test_pods_that_have_what_would_go_are_named() -> None:
    """And no others: whatever it is that changes."""
    async with backends_stage() as play:
        for name in ("t0", "t1"):
            (play.root / "dev").mkdir(exist_ok=True)
            (play.root / "dev" / name).touch()
        play.start(custom(entry(T, "/dev/t*")))
        await play.listed(T, 2)
        pod = Pod.of({T: 1})
        await play.kubelet.admit(pod)
        kubelet = {
            "devicePluginDir": str(play.directory),
            "podResourcesSocket": str(play.pod_resources),
        }
        old = file(play.root, "old", entry(T, "/dev/t*"), kubelet=kubelet)
        for way, (keys, what) in HIT.items():
            changed = keys.pop("entry", entry(T, "/dev/t*"))
            new = file(play.root, "new", changed, kubelet=kubelet, **keys)
            [found, *_] = await asyncio.to_thread(told, old, new)
            table = await asyncio.to_thread(diff, old, new)
            assert (way, found["resource"], "dev:t0" in found[what]) == (way, T, True)
            assert (way, found["held"]) == (way, {"dev:t0": [f"{pod.namespace}/{pod.name}"]})
            assert f"{pod.namespace}/{pod.name}" in table.out
