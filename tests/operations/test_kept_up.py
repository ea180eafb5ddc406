"""No part of the agent ends it by failing; while one fails, readiness tells."""

import asyncio
import socket
from pathlib import Path

import pytest

from nodeplug.backend import BackendSpec
from nodeplug.config.settings import MetricsSettings
from nodeplug.host.disk import Disk
from nodeplug.host.fallbacks import fallbacks
from nodeplug.kubelet.watch import KubeletWatch
from nodeplug.operations import observatory
from nodeplug.operations.observatory import Observatory
from nodeplug.operations.view import View
from nodeplug.supervisor import agent
from nodeplug.supervisor import kept_up as module
from nodeplug.supervisor.hardware import HardwareLook
from nodeplug.supervisor.kept_up import kept_up
from nodeplug.supervisor.last_good import LastGood
from nodeplug.supervisor.reload import ReloadReport
from nodeplug.supervisor.served_names import ServedNames
from nodeplug.supervisor.usage import UsageWatch
from nodeplug.values.errors import KubeletDirectoryError
from support.awkward.state import State
from support.stage import Stage, stage
from support.watched import Watch, watched


def failing(*_: object) -> None:
    raise RuntimeError("can't start new thread")


async def test_a_part_that_fails_is_run_again_and_told_until_it_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It recovers once it has run for a while."""
    monkeypatch.setattr(module, "_SOUND_SECONDS", 0.01)
    runs = 0

    async def part() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise TypeError("odd")
        assert fallbacks() == {"part": "failed, is tried again: TypeError('odd')"}
        while fallbacks():  # noqa: ASYNC110 - a timer recovers it
            await asyncio.sleep(0)

    await kept_up("part", part, pause=0)
    assert runs == 2


@pytest.mark.parametrize("grouped", [False, True])
async def test_a_directory_that_is_of_no_use_is_for_another_start(*, grouped: bool) -> None:
    """Its mount is made with the container."""
    error = KubeletDirectoryError("was deleted")

    async def part() -> None:
        raise ExceptionGroup("tasks", [error]) if grouped else error

    with pytest.raises((KubeletDirectoryError, ExceptionGroup)):
        await kept_up("part", part)


async def test_an_agent_whose_look_at_use_raises_serves_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is."""

    async def odd(_: UsageWatch) -> None:
        raise TypeError("'NoneType' object is not iterable")

    async with stage() as play, watched(play) as watch:
        await play.listed(allocatable=4)
        monkeypatch.setattr(UsageWatch, "_look", odd)
        await play.kubelet.stop()
        await play.kubelet.start()
        await watch.until("/readyz", 200, "degraded: watching use: failed, is tried again")
        play.set(State(boards=5))
        await play.listed(allocatable=5)


async def test_a_backend_that_cannot_tell_its_names_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are known with its devices."""
    monkeypatch.setattr(BackendSpec, "own_names", failing)
    async with stage() as play:
        await play.listed(allocatable=4)
        assert fallbacks()["names of backend awkward"].startswith("not known before")


async def test_a_kubelet_s_directory_that_cannot_be_looked_at_is_one_without_kubelet() -> None:
    """Its name is too long here; on a node its disk may have failed."""
    watch = KubeletWatch(Path("/", "x" * 300), Disk("the kubelet's directory"))
    await watch._look()
    assert watch.identity is None


@pytest.mark.parametrize(
    ("what", "method"),
    [
        ("configuration", (LastGood, "save")),
        ("names of resources", (ServedNames, "save")),
        ("hardware of devices", (HardwareLook, "of_all")),
    ],
)
async def test_what_is_done_without_is_told(
    what: str, method: tuple[type, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it can be done again."""
    monkeypatch.setattr(agent, "_KEEP_SECONDS", 0.1)
    async with stage(agents=0) as play:
        with monkeypatch.context() as patch:
            patch.setattr(*method, failing)
            play.start_agent()
            async with watched(play) as watch:
                await watch.until("/readyz", 200, f"degraded: {what}: not ")
        await recovered(play)


async def test_a_port_that_another_has_is_told_until_it_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kubelet may have asked the other one: only the doctor, Events and condition can tell."""
    monkeypatch.setattr(observatory, "_RETRY_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with stage() as play:
            view = View(play.agent.report, lambda: ReloadReport((), 0), play.pod_resources)
            served = Observatory(view, MetricsSettings(address="127.0.0.1"))
            serving = asyncio.create_task(served.run(port))
            while f"port {port}" not in fallbacks():  # noqa: ASYNC110 - they have no events
                await asyncio.sleep(0.01)
            taken.close()
            watch = Watch(port)
            await watch.open()
            await watch.until("/readyz", 200, "ok")
            serving.cancel()


async def recovered(play: Stage) -> None:
    boards = 4
    while fallbacks():
        boards = 9 - boards
        play.set(State(boards=boards))
        await play.listed(allocatable=boards)
