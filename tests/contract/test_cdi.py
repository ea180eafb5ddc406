"""Injection through CDI, from the offer to the container."""

import json
import shutil
import threading
import time
from pathlib import Path

import pytest

from kubelets.kinds import Kind
from nodeplug.cdi import store
from nodeplug.host.calls import call
from nodeplug.host.files import write_atomically
from nodeplug.offers import Injection, OfferRule
from nodeplug.supervisor import offering
from nodeplug.testing import AdmissionError, Pod
from support.awkward.backend import Settings
from support.awkward.state import State
from support.backends_stage import backends_stage, custom, files
from support.stage import BOARD, Stage, stage


def specified(play: Stage) -> list[str]:
    return [
        entry["name"]
        for file in play.cdi_dir.glob("*.json")
        for entry in json.loads(file.read_text())["devices"]
    ]


async def start(play: Stage, inject: Injection) -> None:
    play.rules = [OfferRule(resource=BOARD, inject=inject)]
    play.start_agent()
    await play.listed(allocatable=4)


async def test_a_container_gets_names_that_stand_in_a_file(kind: Kind) -> None:
    """R63: and no device node besides; what depends on the set still comes directly."""
    async with stage(agents=0, kind=kind) as play:
        await start(play, "cdi")
        runs = await play.kubelet.admit(Pod.of({BOARD: 2}))
        names = [name.partition("=")[2] for name in runs["c0"].cdi_devices]
        assert set(names) <= set(specified(play))
        assert (len(names), runs["c0"].devices) == (2, {})
        assert runs["c0"].envs["AWKWARD_BOARD"] == ",".join(sorted(names))


async def test_older_kubelets_get_the_names_as_an_annotation(kind: Kind) -> None:
    """They drop the field without a word."""
    async with stage(agents=0, kind=kind) as play:
        await start(play, "cdi-annotations")
        runs = await play.kubelet.admit(Pod.of({BOARD: 1}))
        (value,) = runs["c0"].annotations.values()
        assert value.startswith("nodeplug.awkward.example.com/board=awk-board-")


async def test_a_device_is_specified_before_it_is_listed(kind: Kind) -> None:
    """A pod may ask for it the moment it is listed."""
    async with stage(agents=0, kind=kind) as play:
        await start(play, "cdi")
        for boards in range(5, 15):
            play.set(State(boards=boards))
            await play.listed(allocatable=boards)
            assert len(specified(play)) == boards


async def test_specifications_outlive_the_agent(kind: Kind) -> None:
    """R45: containers restart while no agent runs."""
    async with stage(agents=0, kind=kind) as play:
        await start(play, "cdi")
        await play.stop_agent(play.agents[0])
        assert len(specified(play)) == 4


async def test_what_was_asked_for_last_is_what_stands(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload gives up a writing that takes its time; what that writes is not the last word."""
    begun, ended = threading.Event(), threading.Event()

    def slowly(path: Path, data: bytes, mode: int = 0o600) -> None:
        monkeypatch.undo()
        begun.set()
        time.sleep(1)  # as long as a disk may take
        write_atomically(path, data, mode)
        ended.set()

    async with stage(agents=0, kind=kind) as play:
        await start(play, "cdi")
        monkeypatch.setattr(store, "write_atomically", slowly)
        play.set(State(boards=5))
        await call(begun.wait, timeout=60)
        play.set(State(boards=6))
        await play.agent.apply(play.agent.rules, {"awkward": Settings(revision=1)})
        await play.listed(allocatable=6)
        await call(ended.wait, timeout=60)
        assert len(specified(play)) == 6


async def test_a_device_whose_file_cannot_be_written_is_not_given_out(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unhealthy with the reason, and healthy again when the directory is right."""
    monkeypatch.setattr(offering, "_RETRY_SECONDS", 0.2)
    async with stage(agents=0, kind=kind) as play:
        play.cdi_dir.write_text("in the way")
        play.rules = [OfferRule(resource=BOARD, inject="cdi")]
        play.start_agent()
        await play.listed(allocatable=0)
        with pytest.raises(AdmissionError):
            await play.kubelet.admit(Pod.of({BOARD: 1}))
        play.cdi_dir.unlink()
        await play.listed(allocatable=4)
        shutil.rmtree(play.cdi_dir)


async def test_two_releases_with_one_backend_leave_each_other_s_files_alone() -> None:
    """What nobody has is needed all the same: by the next container."""
    async with backends_stage() as play:
        for name in ("a", "b"):
            play.node(f"/dev/{name}0", ord(name))
        rules = [OfferRule(resource=f"example.com/{name}", inject="cdi") for name in "ab"]
        one = play.start(custom(files("example.com/a", "/dev/a0")), rules[0], installation="one")
        play.start(custom(files("example.com/b", "/dev/b0")), rules[1], installation="two")
        await play.listed("example.com/a", 1)
        await play.listed("example.com/b", 1)
        folder = play.directory.with_name("cdi")
        before = sorted(folder.iterdir())
        assert len(before) == 2
        await one.reload(OfferRule(resource="example.com/a", inject="cdi", replicas=2))
        await play.listed("example.com/a", 2)
        assert sorted(folder.iterdir()) == before
        await one.reload(OfferRule(resource="example.com/a"))
        await play.kubelet.until(lambda: len(list(folder.iterdir())) == 1)


async def test_a_node_s_mode_that_udev_sets_late_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel makes nodes for root alone; nothing but their mode and group changes then."""
    monkeypatch.setattr(offering, "_RETRY_SECONDS", 0.2)
    async with backends_stage() as play:
        play.node("/dev/port", 1)
        entry = {"name": BOARD, "devices": [{"path": "/dev/port"}]}
        play.start(custom(entry), OfferRule(BOARD, inject="cdi"))
        await play.listed(BOARD, 1)
        (play.root / "dev/port").chmod(0o660)
        folder = play.directory.with_name("cdi")
        wanted = f'"fileMode": {0o660}'
        await play.kubelet.until(
            lambda: any(wanted in file.read_text() for file in folder.glob("*.json")), 5
        )
