"""Devices that an annotation of the node takes out of service."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from nodeplug.config.load import Configuration
from nodeplug.config.settings import AgentSettings
from nodeplug.operations.cluster import annotated
from nodeplug.operations.cluster.annotated import AnnotatedQuarantine, recall
from nodeplug.quarantine import QuarantineRule
from nodeplug.supervisor.agent import Rules
from nodeplug.supervisor.reload import Reloader
from support.api_server import ApiServer, api_server
from support.stage import BOARD, Stage, stage

KEY = "nodeplug.io/quarantine"
ONE = "[{devices: {id: awk-board-1}, reason: fan is loud}]"
TWO = "- devices: {id: 'awk-board-[12]'}"


class Play:
    """A stage, an API server, and what follows the node's annotation."""

    def __init__(self, play: Stage, server: ApiServer) -> None:
        self.stage = play
        self.server = server

    @asynccontextmanager
    async def following(self) -> AsyncGenerator[AnnotatedQuarantine, None]:
        directory = self.stage.directory
        follower = AnnotatedQuarantine(
            KEY, "node-1", directory, self.stage.agent, self.server.account
        )
        task = asyncio.create_task(follower.run())
        try:
            yield follower
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def annotate(self, value: str | None) -> None:
        self.server.annotate(**{KEY: value})

    def reason(self, device: str) -> str:
        [report] = [r for r in self.stage.agent.report().resources if r.pool.resource == BOARD]
        [found] = [d for d in report.pool.snapshot.devices if d.id == device]
        return found.reason


@pytest_asyncio.fixture(name="play")
async def _play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Play, None]:
    with api_server(tmp_path) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        async with stage() as play:
            await play.listed(allocatable=4)
            yield Play(play, server)


async def test_a_device_leaves_and_returns_with_the_annotation(play: Play) -> None:
    """One that is there at first counts as well as one that comes later."""
    play.annotate(ONE)
    async with play.following():
        await play.stage.listed(allocatable=3)
        assert play.reason("awk-board-1") == "quarantined: fan is loud"
        play.annotate(TWO)
        await play.stage.listed(allocatable=2)
        play.annotate(None)
        await play.stage.listed(allocatable=4)


async def test_the_rules_of_the_configuration_stand_beside_it(play: Play) -> None:
    """Neither takes the place of the other."""
    configured = QuarantineRule(devices={"id": "awk-board-3"}, reason="configured")
    await play.stage.agent.apply(Rules(quarantine=[configured]), {})
    await play.stage.listed(allocatable=3)
    async with play.following():
        play.annotate(ONE)
        await play.stage.listed(allocatable=2)
        assert play.reason("awk-board-3") == "quarantined: configured"
        play.annotate(None)
        await play.stage.listed(allocatable=3)
        assert play.reason("awk-board-3") == "quarantined: configured"


async def test_a_reload_of_the_configuration_leaves_it_in_force(play: Play) -> None:
    """The files say nothing of it."""
    async with play.following():
        play.annotate(ONE)
        await play.stage.listed(allocatable=3)
        reloader = Reloader({}, lambda: Configuration(AgentSettings()), play.stage.agent)
        await reloader._reload()
        assert play.reason("awk-board-1") == "quarantined: fan is loud"


@pytest.mark.parametrize("end", [ApiServer.end_watches, ApiServer.refuse_watches])
async def test_what_was_missed_between_two_watches_is_found(
    play: Play, end: Callable[[ApiServer], None]
) -> None:
    """The API server ends each after some minutes, or has forgotten where it began."""
    async with play.following():
        play.annotate(ONE)
        await play.stage.listed(allocatable=3)
        end(play.server)
        play.annotate(TWO)
        await play.stage.listed(allocatable=2)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("[{devices: {id: a}, cause: b}]", "[0].cause: is not a known key"),
        ("[{devices: }]", "[0].devices: expected `object`, found None"),
        ("awk-board-1", "expected `array`, found 'awk-board-1'"),
        ("{", "line 1, column 2"),
    ],
)
async def test_a_wrong_value_is_named_and_the_last_good_one_stands(
    play: Play, value: str, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As with a configuration file."""
    play.annotate(ONE)
    async with play.following() as follower:
        await play.stage.listed(allocatable=3)
        play.annotate(value)
        async with asyncio.timeout(10):
            while not follower.problems:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        [text] = follower.problems
        assert text.startswith(f"annotation {KEY}: ")
        [line] = [r for r in caplog.records if r.message == "annotation refused"]
        assert problem in line.nodeplug["error"]  # type: ignore[attr-defined]
        assert play.stage.allocatable() == 3
        play.annotate(TWO)
        await play.stage.listed(allocatable=2)
        assert not follower.problems


async def test_the_last_value_is_known_to_the_next_agent(play: Play) -> None:
    """Its first list has the device out of service, though no API server answers."""
    play.annotate(ONE)
    async with play.following(), asyncio.timeout(10):
        while not recall(KEY, play.stage.directory):  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.01)
    [rule] = recall(KEY, play.stage.directory)
    assert rule.reason == "fan is loud"


async def test_an_api_server_that_refuses_costs_one_line(
    play: Play, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is asked again; what is known stands."""
    monkeypatch.setattr(annotated, "_SHORTEST_PAUSE", 0.05)
    play.server.forbid = True
    play.annotate(ONE)
    async with play.following():
        async with asyncio.timeout(20):
            while len(play.server.calls) < 3:  # noqa: ASYNC110 - counted elsewhere
                await asyncio.sleep(0.01)
        play.server.forbid = False
        await play.stage.listed(allocatable=3)
    lines = [r for r in caplog.records if r.message == "annotation not followed"]
    assert [r.nodeplug["error"] for r in lines] == [  # type: ignore[attr-defined]
        "ConnectionError: the API server refuses: 403 Forbidden"
    ]


async def test_a_name_that_is_no_node_s_is_asked_for_nowhere(play: Play) -> None:
    """It would stand in a path."""
    follower = AnnotatedQuarantine(
        KEY, "../pods", play.stage.directory, play.stage.agent, play.server.account
    )
    await follower.run()
    assert play.server.calls == []


async def test_the_process_ends_with_the_task(play: Play) -> None:
    """Nothing is left that follows."""
    before = set(psutil.Process().children())
    async with play.following():
        play.annotate(ONE)
        await play.stage.listed(allocatable=3)
        assert set(psutil.Process().children()) > before
    assert set(psutil.Process().children()) == before


def test_the_process_ends_with_an_agent_that_is_killed(play: Play) -> None:
    """It has nobody to tell then."""
    module = "nodeplug.operations.cluster.follower"
    command = [sys.executable, "-m", module, str(play.server.account), "node-1", KEY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"null\n"
        process.stdin.close()
        assert process.wait(10) == 0
