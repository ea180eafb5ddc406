"""Registration by sockets that the kubelet finds in its plugin registry (C23)."""

import asyncio
import json
import os
import stat
import sys
import time
from asyncio.subprocess import PIPE
from pathlib import Path

import grpc.aio
from asyncinotify import Inotify, Mask

from kubelets.kinds import AnyKubelet, Kind
from nodeplug.kubelet.api import pluginregistration_v1_pb2 as api
from nodeplug.kubelet.api import pluginregistration_v1_pb2_grpc as api_grpc
from nodeplug.testing import Pod
from nodeplug.testing.patience import patience
from support.awkward.state import State
from support.repository import ROOT
from support.stage import BOARD, Stage, stage
from support.timed import on_this_machine, timed

TESTS = ROOT / "tests"


def shown(play: Stage) -> list[str]:
    """Return the paths of the sockets that a kubelet would look at."""
    assert play.registry is not None
    sockets = (p for p in play.registry.rglob("*") if stat.S_ISSOCK(p.lstat().st_mode))
    return sorted(str(p) for p in sockets if not p.name.startswith("."))


def registrations(kubelet: AnyKubelet) -> list[str]:
    found = kubelet.journal.of("register", BOARD)
    assert all(event.found for event in found)
    return [event.request.endpoint for event in found if event.request]


async def renewed(inotify: Inotify) -> Path:
    """Wait for a new name of a socket and return it."""
    path = (await inotify.get()).path
    assert path is not None
    return path


def number(path: Path) -> str:
    """Return what all names of one socket have in common."""
    return path.name.partition("-")[0]


async def test_c23_a_resource_is_found_and_never_registered_by_a_call(kind: Kind) -> None:
    """R82: one mode for one resource; pods get their devices as ever."""
    async with stage(watcher=True, kind=kind) as play:
        run = await play.kubelet.admit(Pod.of({BOARD: 2}))
        assert run["c0"].envs
        assert len(registrations(play.kubelet)) == 1


async def test_c23_a_kubelet_that_restarts_finds_the_same_socket(kind: Kind) -> None:
    """R80: nothing is needed of us."""
    async with stage(watcher=True, kind=kind) as play:
        before = shown(play)
        await play.kubelet.restart()
        await play.listed(allocatable=4)
        assert shown(play) == before
        assert set(registrations(play.kubelet)) <= set(before)


@timed
async def test_c23_a_lost_stream_is_replaced_by_a_socket_of_a_new_name(kind: Kind) -> None:
    """R78: the plugin manager does not notice it; within 5 s."""
    async with stage(watcher=True, kind=kind) as play:
        started = time.monotonic()
        await play.kubelet.drop_streams(BOARD)
        await play.listed(allocatable=0)
        await play.listed(allocatable=4)
        assert time.monotonic() - started < on_this_machine(5)
        first, second = registrations(play.kubelet)
        assert first not in shown(play)
        assert second in shown(play)


async def test_c23_the_old_socket_goes_before_the_new_one_is_shown(kind: Kind) -> None:
    """R77: up to 1.36 a kubelet that looks between the two drops the new one for the old."""
    async with stage(watcher=True, kind=kind) as play:
        first, *_ = map(Path, shown(play))
        with Inotify(sync_timeout=0) as inotify:
            inotify.add_watch(first.parent, Mask.CREATE | Mask.MOVED_TO | Mask.DELETE)
            await play.kubelet.drop_streams(BOARD)
            await play.listed(allocatable=0)
            await play.listed(allocatable=4)
            events = list(iter(inotify.sync_get, None))
        plain = [each for each in events if not str(each.name).startswith(".")]
        assert [bool(each.mask & Mask.DELETE) for each in plain] == [True, False]


async def test_c23_what_was_accepted_is_renewed_before_what_was_not() -> None:
    """R78: its stream may have been lost before it was seen here."""
    async with stage(watcher=True) as play:
        folder = Path(shown(play)[0]).parent
        await play.kubelet.stop()
        with Inotify() as inotify:
            inotify.add_watch(folder, Mask.MOVED_TO)
            *_, path = [await renewed(inotify) for _ in range(2) for _ in shown(play)]
            async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
                accepted = api.RegistrationStatus(plugin_registered=True)
                await api_grpc.RegistrationStub(channel).NotifyRegistrationStatus(accepted)
            assert number(await renewed(inotify)) == number(path)


async def test_a_socket_that_somebody_removed_is_put_back(kind: Kind) -> None:
    """R77: its removal alone deregisters the resource."""
    async with stage(watcher=True, kind=kind) as play:
        for path in shown(play):
            os.unlink(path)  # noqa: PTH108 - as text
        await play.listed(allocatable=0)
        await play.listed(allocatable=4)


async def test_changes_arrive_as_ever(kind: Kind) -> None:
    """The list is the same service."""
    async with stage(watcher=True, kind=kind) as play:
        play.set(State(sick=("awk-board-0",)))
        await play.listed(allocatable=3)


async def test_only_sockets_with_a_plain_name_are_shown(kind: Kind) -> None:
    """One for each resource, for its owner alone; nothing is left at the end."""
    async with stage(watcher=True, kind=kind) as play:
        sockets = shown(play)
        assert len(sockets) == 2
        assert {stat.S_IMODE(os.stat(path).st_mode) for path in sockets} == {0o600}  # noqa: PTH116
        await play.stop_agent(play.agents[0])
        assert not shown(play)


async def test_a_second_instance_takes_over_when_the_first_ends(kind: Kind) -> None:
    """Sockets of both are never shown at once."""
    async with stage(watcher=True, kind=kind) as play:
        first = play.agents[0]
        before = shown(play)
        play.start_agent()
        await asyncio.wait({first}, timeout=0.5)
        assert shown(play) == before
        await play.stop_agent(first)
        await play.listed(allocatable=0)
        await play.listed(allocatable=4)


@timed
async def test_c23_who_it_is_is_answered_within_a_second_under_load(kind: Kind) -> None:
    """R80, with a hundred callers at a time."""
    async with stage(watcher=True, kind=kind) as play:
        options = [("grpc.use_local_subchannel_pool", 1)]
        within = on_this_machine(1)

        async def ask() -> api.PluginInfo:
            target = f"unix:{shown(play)[0]}"
            async with grpc.aio.insecure_channel(target, options=options) as channel:
                stub = api_grpc.RegistrationStub(channel)
                return await stub.GetInfo(api.InfoRequest(), timeout=within)

        infos = await asyncio.gather(*(ask() for _ in range(100)))
        assert {info.type for info in infos} == {"DevicePlugin"}
        assert {tuple(info.supported_versions) for info in infos} == {("v1beta1",)}


async def test_a_refusal_is_what_the_report_says(kind: Kind) -> None:
    """R75: its text is what an operator sees."""
    async with stage(watcher=True, kind=kind) as play:
        async with patience(5):
            while not play.report().registered:  # noqa: ASYNC110 - a report tells nobody
                await asyncio.sleep(0.01)
        status = api.RegistrationStatus(plugin_registered=False, error="no room")
        target = f"unix:{registrations(play.kubelet)[0]}"
        async with grpc.aio.insecure_channel(target) as channel:
            await api_grpc.RegistrationStub(channel).NotifyRegistrationStatus(status)
        assert (play.report().registered, play.report().error) == (False, "no room")


async def test_sockets_of_a_dead_instance_are_swept(kind: Kind) -> None:
    """R73: a stale one would be tried again and again."""
    async with stage(watcher=True, agents=0, kind=kind) as play:
        assert play.registry is not None
        stale = play.registry / "nodeplug/01234567"
        stale.mkdir(parents=True)
        (stale / "lock").touch()
        (stale / "1-1.sock").touch()
        play.start_agent()
        await play.listed(allocatable=4)
        assert not stale.exists()


async def test_a_file_system_without_hard_links_is_refused_in_words() -> None:
    """The kubelet overlooks the name that is bound."""
    async with stage(watcher=True, agents=0) as play:
        assert play.registry is not None
        settings = {"registration": "watcher", "pluginRegistryDir": str(play.registry)}
        kubelet = {"devicePluginDir": str(play.directory), **settings}
        config = play.host.root / "nodeplug.json"
        host = {
            "root": str(play.host.root),
            "uevents": str(play.host.root / "uevents.sock"),
            "ledgerDir": "",
        }
        section = {"resources": [{"name": "example.com/x", "devices": [{"path": "/dev/x"}]}]}
        content = {"kubelet": kubelet, "host": host, "backends": {"custom": section}}
        config.write_text(json.dumps(content | {"metrics": {"enabled": False}}))
        command = (sys.executable, str(TESTS / "support/without_links.py"), sys.executable)
        words = ("-m", "nodeplug", "run", "--backend", "custom", "--config", str(config))
        process = await asyncio.create_subprocess_exec(*command, *words, stderr=PIPE)
        assert process.stderr is not None
        async with patience(20):
            while b"set kubelet.registration: socket" not in await process.stderr.readline():
                pass
        process.kill()
        await process.wait()
