"""A rolling update: the next agent stands by, and takes over when the former one is to end."""

import asyncio
import os
import signal
import time
from typing import Any

import pytest

from kubelets.kinds import Kind
from nodeplug.simulate.agent_process import AgentProcess
from nodeplug.testing import AdmissionError, Pod
from nodeplug.testing.patience import patience
from support.agent_node import Node, node
from support.allocatable import Allocatable
from support.awkward.state import State, write_state
from support.command import log_lines
from support.stage import BOARD
from support.timed import on_this_machine, timed
from support.watched import Watch, free_port

STANDING_BY = "standing by"
PODS = 50


@pytest.fixture(autouse=True)
def _installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODEPLUG_INSTALLATION", "tests/release")


def logged(agent: AgentProcess, event: str) -> list[dict[str, object]]:
    return [line for line in log_lines(agent.log.read_text()) if line["event"] == event]


async def until_logged(agent: AgentProcess, event: str, times: int = 1) -> dict[str, object]:
    async with patience(10):
        while len(found := logged(agent, event)) < times:  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.01)
    return found[-1]


async def standby(play: Node, **settings: Any) -> AgentProcess:
    """Start one more agent of the installation; return when it stands by."""
    newcomer = await play.another(**settings)
    await until_logged(newcomer, STANDING_BY)
    return newcomer


async def start_pods(play: Node, count: int) -> list[float]:
    """Start and end a pod again and again; return when one was refused."""
    refused = []
    for _ in range(count):
        pod = Pod.of({BOARD: 1})
        try:
            await play.kubelet.admit(pod)
        except AdmissionError:
            refused.append(time.monotonic())
        play.kubelet.terminate(pod)
        await play.kubelet.remove(pod)
        await asyncio.sleep(0.002)
    return refused


@timed
async def test_pods_start_during_a_rolling_update(
    monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """R15: since 1.37 none is refused; before, some are in the 50 ms until it is listed anew."""
    async with node(monkeypatch, {"awkward": {}}, kind=kind) as play:
        await play.listed(BOARD, 4)
        await standby(play)
        allocatable = Allocatable(play.kubelet, BOARD)
        starting = asyncio.create_task(start_pods(play, PODS))
        assert await play.agent.terminate() == 0
        refused = await starting
        await play.listed(BOARD, 4)
        gaps = await allocatable.gaps()
        if kind.tells_apart:
            assert (gaps, refused) == ([], [])
        assert all(end - start < on_this_machine(0.050) for start, end in gaps)
        # What the kubelet says of a refusal is heard a little later.
        late = on_this_machine(0.020)
        assert all(any(a <= at <= b + late for a, b in gaps) for at in refused)


async def test_a_standby_is_ready_and_the_holder_serves_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says who it is, and takes nothing."""
    port = free_port()
    async with node(monkeypatch, {"awkward": {}}) as play:
        await play.listed(BOARD, 4)
        await play.another(metrics={"address": "127.0.0.1", "port": port})
        watch = Watch(port)
        await watch.open()
        await watch.until("/readyz", 200, "standby: another agent of this installation serves")
        assert (await watch.samples())["nodeplug_standby"] == 1
        assert len(play.kubelet.journal.of("register", BOARD)) == 1


async def test_a_standby_whose_backend_fails_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a rolling update ends there, and the former agent serves on."""
    port = free_port()
    async with node(monkeypatch, {"awkward": {}}) as play:
        await play.listed(BOARD, 4)
        write_state(play.host, State(crash=True))
        await play.another(metrics={"address": "127.0.0.1", "port": port})
        watch = Watch(port)
        await watch.open()
        await watch.until("/readyz", 503, "backend awkward: failed")


async def test_an_agent_behind_another_installation_is_not_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its resource is not its to take; it says who has it."""
    port = free_port()
    async with node(monkeypatch, {"awkward": {}}) as play:
        await play.listed(BOARD, 4)
        monkeypatch.setenv("NODEPLUG_INSTALLATION", "tests/other")
        other = await play.another(metrics={"address": "127.0.0.1", "port": port})
        watch = Watch(port)
        await watch.open()
        await watch.until("/readyz", 503, f"{BOARD}: another agent serves it")
        line = await until_logged(other, "another agent serves the resource, waiting")
        assert "installation 'tests/release'" in str(line["holder"])


async def test_a_standby_takes_over_from_an_agent_that_is_killed(
    monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """The end of its connection tells; nobody waits for a time to pass."""
    async with node(monkeypatch, {"awkward": {}}, kind=kind) as play:
        await play.listed(BOARD, 4)
        await standby(play)
        await play.agent.kill()
        await play.kubelet.until(lambda: len(play.kubelet.journal.of("register", BOARD)) > 1)
        await play.listed(BOARD, 4)


async def test_a_standby_takes_over_from_an_agent_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which ends when it turns again, as what has lost its lease should."""
    async with node(monkeypatch, {"awkward": {}}) as play:
        await play.listed(BOARD, 4)
        newcomer = await standby(play)
        os.kill(play.agent.pid, signal.SIGSTOP)
        await until_logged(newcomer, "started")
        await play.kubelet.until(lambda: len(play.kubelet.journal.of("register", BOARD)) > 1)
        os.kill(play.agent.pid, signal.SIGCONT)
        async with patience(10):
            while play.agent.running:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert "another agent of the installation has" in play.agent.log.read_text()
        await play.listed(BOARD, 4)


async def test_a_standby_lives_through_a_request_to_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes over all the same."""
    async with node(monkeypatch, {"awkward": {}}) as play:
        await play.listed(BOARD, 4)
        newcomer = await standby(play)
        os.kill(newcomer.pid, signal.SIGHUP)
        await until_logged(newcomer, STANDING_BY, times=2)
        assert await play.agent.terminate() == 0
        await until_logged(newcomer, "registered")


async def test_a_standby_takes_a_new_configuration_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it serves from its first list on is what the files say then."""
    async with node(monkeypatch, {"awkward": {}}) as play:
        await play.listed(BOARD, 4)
        newcomer = await standby(play, metrics={"enabled": False})
        newcomer.offer([{"resource": BOARD, "replicas": 3}])
        await until_logged(newcomer, STANDING_BY, times=2)
        before = len(play.kubelet.journal.events)
        assert await play.agent.terminate() == 0
        await until_logged(newcomer, "registered")
        await play.listed(BOARD, 12)
        lists = [e for e in play.kubelet.journal.events[before:] if e.kind == "list"]
        assert {each.count for each in lists if each.resource == BOARD} == {12}


async def test_a_standby_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the holder has written for containers is as it was, whatever the newcomer has to say."""
    async with node(monkeypatch, {"awkward": {}}) as play:
        await play.listed(BOARD, 4)
        play.agent.offer([{"resource": BOARD, "inject": "cdi"}])
        cdi = play.agent.plugin_dir.with_name("cdi")
        await until_logged(play.agent, "configuration reloaded")
        before = {path: path.read_bytes() for path in cdi.iterdir()}
        assert before
        await standby(play, metrics={"enabled": False})
        write_state(play.host, State(sick=("awk-board-0",)))
        await play.listed(BOARD, 3)
        assert {path: path.read_bytes() for path in cdi.iterdir()} == before
        assert await play.agent.terminate() == 0
        await play.kubelet.until(lambda: len(play.kubelet.journal.of("register", BOARD)) > 1)
        await play.listed(BOARD, 3)


def serving(resource: str, path: str) -> dict[str, dict[str, object]]:
    devices = [{"path": path, "type": "file"}]
    return {"custom": {"resources": [{"name": resource, "devices": devices}]}}


async def test_releases_of_one_backend_leave_each_other_alone(
    monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """One comes with a new version that is broken, the other is upgraded meanwhile."""
    ours, theirs = "ours.example.com/null", "theirs.example.com/null"
    async with node(monkeypatch, serving(ours, "/dev/null"), kind=kind) as play:
        await play.listed(ours, 1)
        monkeypatch.setenv("NODEPLUG_INSTALLATION", "tests/other")
        (play.host.path("/dev/theirs")).touch()
        other = await play.another(serving(theirs, "/dev/theirs"))
        await play.listed(theirs, 1)
        broken = await play.another({"custom": {"resources": [{"nmae": theirs}]}})
        await until_logged(broken, "configuration section refused")
        monkeypatch.setenv("NODEPLUG_INSTALLATION", "tests/release")
        before = len(play.kubelet.journal.events)
        newcomer = await standby(play)
        assert await play.agent.terminate() == 0
        await until_logged(newcomer, "registered")
        await play.listed(ours, 1)
        assert other.running
        assert [e for e in play.kubelet.journal.events[before:] if e.resource == theirs] == []
        await play.listed(theirs, 1)
