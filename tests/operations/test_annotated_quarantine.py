"""Devices that an annotation of the node takes out of service."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from nodeplug.config.load import Configuration
from nodeplug.config.settings import AgentSettings
from nodeplug.host.fallbacks import fallbacks
from nodeplug.operations.cluster import annotated
from nodeplug.operations.cluster.annotated import AnnotatedQuarantine, recall
from nodeplug.quarantine import QuarantineRule
from nodeplug.supervisor.agent import Rules
from nodeplug.supervisor.reload import Reloader
from nodeplug.testing.patience import patience
from support.api_server import ApiServer, api_server
from support.awkward.state import State
from support.bombs import BOMBS
from support.stage import BOARD, EXTRA, Stage, stage
from support.timed import on_this_machine, timed

KEY = "nodeplug.io/quarantine"
ONE = "[{devices: {id: awk-board-1}, reason: fan is loud}]"
TWO = "- devices: {id: 'awk-board-[12]'}"
FOLLOWER = "nodeplug.operations.cluster.follower"


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
        async with patience(10):
            while not follower.problems:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        [problem_told] = follower.problems
        assert problem_told.shown.startswith(f"configuration: annotation {KEY}: ")
        [line] = [r for r in caplog.records if r.message == "annotation refused"]
        assert problem in line.nodeplug["error"]  # type: ignore[attr-defined]
        assert play.stage.allocatable() == 3
        play.annotate(TWO)
        await play.stage.listed(allocatable=2)
        assert not follower.problems


async def test_the_last_value_is_known_to_the_next_agent(play: Play) -> None:
    """Its first list has the device out of service, though no API server answers."""
    play.annotate(ONE)
    async with play.following(), patience(10):
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
        async with patience(20):
            while len(play.server.calls) < 3:  # noqa: ASYNC110 - counted elsewhere
                await asyncio.sleep(0.01)
        assert fallbacks()["annotation of the node"].startswith("annotation not followed: ")
        play.server.forbid = False
        await play.stage.listed(allocatable=3)
        assert fallbacks() == {}
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
    async with play.following():
        play.annotate(ONE)
        await play.stage.listed(allocatable=3)
        assert followers()
    assert not followers()


def test_the_process_ends_with_an_agent_that_is_killed(play: Play) -> None:
    """It has nobody to tell then."""
    command = [sys.executable, "-m", FOLLOWER, str(play.server.account), "node-1", KEY, "99"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"null\n"
        process.stdin.close()
        assert process.wait() == 0


def followers() -> list[psutil.Process]:
    """Return the processes that follow; tests before may have left others, which are to end."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it has ended since
            found += [child] if FOLLOWER in child.cmdline() else []
    return found


class Ticks:
    """How long the event loop was held at most."""

    longest = 0.0

    async def run(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            self.longest = max(self.longest, time.monotonic() - before)


def refusals(caplog: pytest.LogCaptureFixture) -> int:
    return [record.message for record in caplog.records].count("annotation refused")


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what tells nobody."""
    async with patience(20):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.timeout(120)
async def test_a_bomb_costs_one_line(
    play: Play, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it is told: what held before holds, and the next value counts."""
    monkeypatch.setattr(annotated, "_SHORTEST_PAUSE", 0.05)
    play.annotate(ONE)
    async with play.following():
        await play.stage.listed(allocatable=3)
        for number, bomb in enumerate(BOMBS.values(), 1):
            play.annotate(bomb)
            await until(lambda number=number: refusals(caplog) == number)  # type: ignore[misc]
        calls = len(play.server.calls)
        [process] = followers()
        process.kill()
        await until(lambda: len(play.server.calls) > calls + 1)
        assert play.stage.allocatable() == 3
        play.annotate(TWO)
        await play.stage.listed(allocatable=2)
        assert refusals(caplog) == len(BOMBS)


@timed
@pytest.mark.timeout(120)
async def test_bombs_do_not_hold_up_the_agent(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody would be given a device meanwhile."""
    ticks = Ticks()
    async with play.following():
        ticking = asyncio.create_task(ticks.run())
        for number, bomb in enumerate(BOMBS.values(), 1):
            play.annotate(bomb)
            await until(lambda number=number: refusals(caplog) == number)  # type: ignore[misc]
        ticking.cancel()
    assert ticks.longest < on_this_machine(0.5)


async def test_after_a_bomb_the_next_agent_knows_what_held_before(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told the bomb, too, and says so once."""
    play.annotate(ONE)
    async with play.following():
        await play.stage.listed(allocatable=3)
    play.annotate(BOMBS["aliases"])
    for number in (1, 2):
        async with play.following() as follower:
            await until(lambda follower=follower: bool(follower.problems))  # type: ignore[misc]
        assert refusals(caplog) == number
        [rule] = recall(KEY, play.stage.directory)
        assert rule.reason == "fan is loud"


async def test_a_kept_value_that_was_exchanged_for_a_bomb_is_none(play: Play) -> None:
    """The next agent starts all the same."""
    play.annotate(ONE)
    async with play.following():
        await until(lambda: bool(recall(KEY, play.stage.directory)))
    [kept] = (play.stage.directory / ".nodeplug").glob("quarantine-*")
    for bomb in BOMBS.values():
        kept.write_bytes(bomb.encode(errors="surrogatepass"))
        assert recall(KEY, play.stage.directory) == ()


async def test_the_largest_honest_value_is_taken(play: Play) -> None:
    """A hundred rules, or some hundred devices in one."""
    rules = ", ".join(f"{{devices: {{id: awk-board-{number}}}}}" for number in range(90))
    names = ", ".join(f"awk-board-{number}" for number in range(450))
    async with play.following():
        play.annotate(f"[{rules}]")
        await play.stage.listed(allocatable=0)
        play.annotate(None)
        await play.stage.listed(allocatable=4)
        play.annotate(f"[{{devices: {{id: [{names}]}}}}]")
        await play.stage.listed(allocatable=0)


@timed
async def test_the_largest_value_for_many_devices_does_not_hold_up_the_agent(play: Play) -> None:
    """A hundred rules for ten thousand devices are a million questions."""
    play.stage.set(State(extra=10_000))
    await play.stage.listed(EXTRA, allocatable=10_000)
    rules = ", ".join(f"{{devices: {{id: '*-{number}x'}}}}" for number in range(90))
    play.annotate(f"[{rules}, {{devices: {{id: awk-extra-7}}}}]")
    ticks = Ticks()
    ticking = asyncio.create_task(ticks.run())
    async with play.following():
        await play.stage.listed(EXTRA, allocatable=9_999)
    ticking.cancel()
    assert ticks.longest < on_this_machine(0.7)
