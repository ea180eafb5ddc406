"""Files for the container runtime: right, in time, and there as long as they are needed."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nodeplug.cdi.spec import kind_of
from nodeplug.cdi.store import SpecStore, nodes_of
from nodeplug.offers import Injection, Offer, OfferedDevice
from nodeplug.values.device import Device
from nodeplug.values.edits import ContainerEdits, DeviceNode, Hook, Mount
from nodeplug.values.names import check_cdi_name

RESOURCE = "example.com/gpu"
SCHEMA = json.loads((Path(__file__).parent / "schema.json").read_text())
FULL = ContainerEdits(
    nodes=(DeviceNode("/dev/gpu0", "/dev/gpu", "rwm"),),
    mounts=(Mount("/usr/lib/gpu"),),
    envs={"GPU": "0"},
    hooks=(Hook("createContainer", "/usr/bin/hook", ("hook", "x"), ("A=b",)),),
)


def offer(*ids: str, edits: ContainerEdits = FULL, inject: Injection = "cdi") -> Offer:
    devices = (Device(id=device_id, resource=RESOURCE, edits=edits) for device_id in ids)
    offered = tuple(OfferedDevice(device.id, device) for device in devices)
    return Offer(RESOURCE, offered, edits=ContainerEdits(envs={"COMMON": "1"}), inject=inject)


def reconcile(folder: Path, *offers: Offer, in_use: dict[str, set[str]] | None = None) -> Any:
    store = SpecStore(folder, "test")
    return store.reconcile({each.resource: each for each in offers}, in_use)


def written(folder: Path) -> Any:
    (file,) = folder.glob("*.json")
    return json.loads(file.read_text())


def names(folder: Path) -> list[str]:
    return [entry["name"] for entry in written(folder)["devices"]]


def test_a_specification_is_what_runtimes_accept(tmp_path: Path) -> None:
    """Every kind of edit, and what is common to all devices."""
    reconcile(tmp_path, offer("a", "b"))
    jsonschema.validate(written(tmp_path), SCHEMA)


def test_hooks_reach_the_runtime(tmp_path: Path) -> None:
    """The kubelet's own API has no word for them."""
    reconcile(tmp_path, offer("a"))
    assert written(tmp_path)["devices"][0]["containerEdits"]["hooks"] == [
        {
            "hookName": "createContainer",
            "path": "/usr/bin/hook",
            "args": ["hook", "x"],
            "env": ["A=b"],
        }
    ]


def test_a_device_without_edits_has_no_entry(tmp_path: Path) -> None:
    """Runtimes refuse the whole file otherwise; here there is nothing left to write."""
    reconcile(tmp_path, offer("a", edits=ContainerEdits()))
    assert list(tmp_path.iterdir()) == []


def test_an_equal_specification_is_not_written_again(tmp_path: Path) -> None:
    """Runtimes watch the directory."""
    reconcile(tmp_path, offer("a"))
    (before,) = (file.stat().st_mtime_ns for file in tmp_path.iterdir())
    reconcile(tmp_path, offer("a"))
    (after,) = (file.stat().st_mtime_ns for file in tmp_path.iterdir())
    assert before == after


def test_an_entry_that_a_container_may_hold_stays(tmp_path: Path) -> None:
    """R45: its names are replayed when it restarts."""
    reconcile(tmp_path, offer("a", "b"), in_use={})
    reconcile(tmp_path, offer("b"), in_use={RESOURCE: {"a"}})
    assert names(tmp_path) == ["a", "b"]


def test_an_entry_that_nothing_needs_goes(tmp_path: Path) -> None:
    """The device is gone, and no container has it."""
    reconcile(tmp_path, offer("a", "b"), in_use={})
    reconcile(tmp_path, offer("b"), in_use={})
    assert names(tmp_path) == ["b"]


def test_every_entry_stays_while_nothing_is_known_of_its_use(tmp_path: Path) -> None:
    """No answer from the kubelet is no permission."""
    reconcile(tmp_path, offer("a", "b"))
    reconcile(tmp_path, offer("b"))
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize(("held", "left"), [({RESOURCE: {"a"}}, 1), ({}, 0)])
def test_a_resource_no_longer_injected_leaves_its_file_only_while_needed(
    tmp_path: Path, held: dict[str, set[str]], left: int
) -> None:
    """Switched back to plain devices."""
    reconcile(tmp_path, offer("a"), in_use={})
    reconcile(tmp_path, offer("a", inject="devices"), in_use=held)
    assert len(list(tmp_path.iterdir())) == left


def test_other_backends_and_vendors_keep_their_files(tmp_path: Path) -> None:
    """The directory is everybody's."""
    for name in ("nodeplug-other-example.com_gpu.json", "nvidia.json"):
        (tmp_path / name).write_text("{}")
    reconcile(tmp_path, in_use={})
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_that_cannot_be_written_is_told_by_device(tmp_path: Path) -> None:
    """The devices must not be given out without it."""
    folder = tmp_path / "file"
    folder.write_text("in the way")
    failures = reconcile(folder, offer("a"))
    assert list(failures) == [(RESOURCE, "a")]


@pytest.mark.parametrize("resource", ["a.b/c", "a.b/c.d", "a.b/1c", "a.b/c_d-e", "a.b/c.shared"])
def test_every_resource_has_a_legal_kind(resource: str) -> None:
    """Names of resources may hold what names of kinds may not."""
    check_cdi_name(f"{kind_of(resource)}=x")


def test_different_resources_have_different_kinds() -> None:
    """Also where illegal characters are replaced."""
    assert len({kind_of(name) for name in ("a.b/c.d", "a.b/c-d", "a.b/c_d", "a.b/r-c-d")}) == 4


def test_a_backend_whose_name_begins_alike_keeps_its_files(tmp_path: Path) -> None:
    """`lamps` and `lamps-pro`: ownership is by the exact name."""
    for backend in ("lamps-pro", "lamps-nodeplug.x"):
        SpecStore(tmp_path, backend).reconcile({RESOURCE: offer("a")}, {})
    before = sorted(tmp_path.iterdir())
    SpecStore(tmp_path, "lamps").reconcile({}, {})
    assert sorted(tmp_path.iterdir()) == before
    SpecStore(tmp_path, "lamps-pro").reconcile({}, {})
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_of_ours_that_says_nothing_goes(tmp_path: Path) -> None:
    """Nobody else can mean it."""
    spoilt = tmp_path / "nodeplug-lamps-nodeplug.x.y_pro.json"
    spoilt.write_text("{")
    SpecStore(tmp_path, "lamps").reconcile({}, {})
    assert not spoilt.exists()


def test_what_another_agent_has_written_keeps_its_file(tmp_path: Path) -> None:
    """With the same backend: two releases on a node."""
    folder = tmp_path / "cdi"
    one, two = (SpecStore(folder, "lamps", tmp_path / f"{each}.json") for each in ("one", "two"))
    one.reconcile({RESOURCE: offer("a")}, {})
    two.reconcile({}, {})
    assert len(list(folder.iterdir())) == 1
    one.reconcile({}, {})
    assert list(folder.iterdir()) == []


def test_what_an_earlier_agent_has_written_is_known(tmp_path: Path) -> None:
    """Kept while a container may need it, removed by whichever agent finds that none does."""
    folder, ledger = tmp_path / "cdi", tmp_path / "ledger.json"
    SpecStore(folder, "lamps", ledger).reconcile({RESOURCE: offer("a")}, {})
    for in_use, left in ((None, 1), ({RESOURCE: {"a"}}, 1), ({}, 0)):
        SpecStore(folder, "lamps", ledger).reconcile({}, in_use)
        assert len(list(folder.iterdir())) == left
    assert json.loads(ledger.read_text()) == {}


@pytest.mark.parametrize(
    "text",
    [
        '{"kind": "a.b/c", "devices": null}',
        '{"kind": "a.b/c", "devices": 5}',
        '{"kind": "a.b/c", "devices": [{"name": ["x"], "containerEdits": 7}, 7]}',
        "[" * 100_000,
    ],
    ids=["none", "a number", "odd entries", "endless depth"],
)
def test_an_odd_file_of_somebody_else_says_nothing(tmp_path: Path, text: str) -> None:
    """What Go writes of no devices is null."""
    reconcile(tmp_path, offer("a"))
    before = nodes_of(tmp_path)
    (tmp_path / "other.json").write_text(text)
    assert nodes_of(tmp_path) == before != {}


def test_a_ledger_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Who comes later would not know whose the files are; no device is the worse for it."""
    (tmp_path / "file").touch()
    store = SpecStore(tmp_path / "cdi", "lamps", tmp_path / "file/ledger.json")
    failures = store.reconcile({RESOURCE: offer("a")}, {})
    assert list(failures) == [("", "")]
