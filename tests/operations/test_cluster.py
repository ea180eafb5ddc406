"""What the API server is told; it is a real one over HTTPS, with its moods."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from nodeplug.allocation import BackendHandle
from nodeplug.config.settings import ClusterSettings
from nodeplug.host.fallbacks import fallbacks
from nodeplug.offers import OfferRule
from nodeplug.operations.cluster import announcer, condition, courier
from nodeplug.operations.cluster.announcer import Announcer, _keep_telling
from nodeplug.operations.cluster.courier import Call, Courier, Reply
from nodeplug.operations.cluster.events import EVENTS_LIMIT
from nodeplug.operations.view import View
from nodeplug.supervisor.agent import Rules
from nodeplug.supervisor.reload import ReloadReport, refusal
from nodeplug.testing import Container, Pod
from nodeplug.testing.patience import patience
from nodeplug.values.device import Device
from nodeplug.values.errors import ClusterError, ConfigError
from nodeplug.values.inventory import Inventory
from nodeplug.values.trouble import Trouble
from support.api_server import ApiServer, api_server
from support.awkward.state import State
from support.stage import BOARD, EXTRA, SLICE, Stage, stage

NODE = "node-1.example.com"


class Play:
    """A stage, an API server, and an announcer between them."""

    def __init__(self, play: Stage, server: ApiServer) -> None:
        self.stage = play
        self.server = server
        self.reload = ReloadReport((), 0)

    def announcer(self, node: str = NODE, **settings: Any) -> Announcer:
        view = View(self.stage.agent.report, lambda: self.reload, self.stage.pod_resources)
        return Announcer(ClusterSettings(**settings), node, view, Courier(self.server.account))

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(event["reason"], event["message"]) for event in self.server.told.values()]


@pytest_asyncio.fixture(name="play")
async def _play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Play, None]:
    with api_server(tmp_path) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        async with stage() as play:
            await play.listed(SLICE, allocatable=8)
            yield Play(play, server)


async def test_a_sick_device_and_its_recovery_are_events_of_the_node(play: Play) -> None:
    """Once each, however many replicas; nothing is said of what is sound."""
    telling = play.announcer(events=True)
    await telling.tell()
    assert play.told == []
    play.stage.set(State(sick=("awk-board-1",)))
    await play.stage.listed(allocatable=3)
    await telling.tell()
    await telling.tell()
    name = f"awk-board-1 of {BOARD}"
    assert play.told == [("DeviceUnhealthy", f"{name} is unhealthy: told to be sick")]
    play.stage.set(State())
    await play.stage.listed(allocatable=4)
    await telling.tell()
    assert play.told[1:] == [("DeviceHealthy", f"{name} is healthy again")]
    event = next(iter(play.server.told.values()))
    assert event["involvedObject"]["name"] == NODE
    assert event["type"] == "Warning"


async def test_the_pods_that_a_sick_device_hits_are_named(play: Play) -> None:
    """A device that nobody has hits none."""
    telling = play.announcer(events=True)
    await telling.tell()
    pods = [Pod.of({BOARD: 1}, {BOARD: 1}), Pod.of({BOARD: 1})]
    for pod in pods:
        await play.stage.kubelet.admit(pod)
    play.stage.set(State(sick=tuple(f"awk-board-{number}" for number in range(4))))
    await play.stage.listed(allocatable=0)
    await telling.tell()
    hit = sorted(message.partition("sick")[2] for _, message in play.told)
    users = (pods[0], *pods)
    assert hit == sorted(["", *(f"; in use by default/{pod.name}" for pod in users)])


async def test_of_many_pods_that_a_device_hits_some_are_named(play: Play) -> None:
    """A shared device; the event is for people."""
    telling = play.announcer(events=True)
    play.stage.set(State(boards=1))
    await play.stage.agent.apply(Rules([OfferRule(resource=BOARD, replicas=6)]), {})
    await play.stage.listed(allocatable=6)
    await telling.tell()
    for name in "abcdef":
        await play.stage.kubelet.admit(Pod((Container("c", {BOARD: 1}),), name))
    play.stage.set(State(boards=1, sick=("awk-board-0",)))
    await play.stage.listed(allocatable=0)
    await telling.tell()
    users = "default/a, default/b, default/c, default/d and 2 more"
    sick = f"awk-board-0 of {BOARD} is unhealthy: told to be sick"
    assert play.told[-1] == ("DeviceUnhealthy", f"{sick}; in use by {users}")


async def test_a_device_that_vanished_is_told(play: Play) -> None:
    """It has left the list."""
    telling = play.announcer(events=True)
    await telling.tell()
    play.stage.set(State(boards=3))
    await play.stage.listed(allocatable=3)
    await telling.tell()
    assert ("DeviceUnhealthy", f"awk-board-3 of {BOARD} is unhealthy: gone") in play.told


async def test_a_device_that_is_merely_held_is_no_news(play: Play) -> None:
    """A container has it by another name; it is well."""
    telling = play.announcer(events=True)
    rule = OfferRule(resource=BOARD, replicas=2, mark_shared=True)
    await play.stage.agent.apply(Rules([rule]), {})
    await play.stage.listed(f"{BOARD}.shared", allocatable=8)
    await play.stage.kubelet.admit(Pod.of({f"{BOARD}.shared": 1}))
    await telling.tell()
    await play.stage.agent.apply(Rules(), {})
    await play.stage.listed(BOARD, allocatable=3)
    before = len(play.told)
    await telling.tell()
    assert [told for told in play.told[before:] if f" of {BOARD} " in told[1]] == []


async def test_the_same_news_again_counts_up_the_event(play: Play) -> None:
    """As after a restart of the agent."""
    play.stage.set(State(sick=("awk-board-1",)))
    await play.stage.listed(allocatable=3)
    await play.announcer(events=True).tell()
    await play.announcer(events=True).tell()
    [event] = play.server.told.values()
    assert event["count"] == 2


async def test_many_changes_are_few_events(play: Play) -> None:
    """The last one says how many there were."""
    play.stage.set(State(extra=50))
    await play.stage.listed(EXTRA, allocatable=50)
    telling = play.announcer(events=True)
    await telling.tell()
    play.stage.set(State(extra=50, sick=tuple(f"awk-extra-{n}" for n in range(50))))
    await play.stage.listed(EXTRA, allocatable=0)
    await telling.tell()
    assert len(play.told) == EVENTS_LIMIT
    assert play.told[-1] == ("ManyChanges", "41 more changes of devices")


async def test_a_refused_configuration_is_told_once(play: Play) -> None:
    """With file and key."""
    telling = play.announcer(events=True)
    error = ConfigError("c.yaml: log.level: is wrong, found 7", "c.yaml: log.level")
    play.reload = ReloadReport((refusal(error),), 1)
    await telling.tell()
    await telling.tell()
    told = "configuration: c.yaml: log.level: refused, what worked last stays"
    assert play.told == [("ConfigurationRefused", told)]


async def test_a_name_that_is_refused_is_told_once(play: Play) -> None:
    """So is all that is degraded."""
    telling = play.announcer(events=True)
    other = Inventory.of([Device(id="o1", resource="example.com/other")])
    await play.stage.agent.publish(BackendHandle("other"), other)
    rule = OfferRule(resource=BOARD, rename="example.com/other")
    await play.stage.agent.apply(Rules([rule]), {})
    await telling.tell()
    await telling.tell()
    told = f"{BOARD} of backend awkward: another backend has the name that it should have"
    assert play.told == [("NameTaken", told)]


async def test_a_degraded_agent_is_ready_by_its_condition(play: Play) -> None:
    """With what is wrong as its message."""
    telling = play.announcer(condition=True)
    play.reload = ReloadReport((refusal(ConfigError("c.yaml: log: is wrong", "c.yaml: log")),), 1)
    await telling.tell()
    [condition] = play.server.conditions
    assert (condition["status"], condition["reason"]) == ("True", "Degraded")
    assert condition["message"].startswith("configuration: c.yaml: log: refused")


async def test_what_could_not_be_told_is_told_later(play: Play) -> None:
    """Nothing is lost while the API server forbids it."""
    telling = play.announcer(events=True)
    play.stage.set(State(sick=("awk-board-1",)))
    await play.stage.listed(allocatable=3)
    play.server.forbid = True
    with pytest.raises(ClusterError, match="403 not allowed to POST"):
        await telling.tell()
    play.server.forbid = False
    await telling.tell()
    assert len(play.told) == 1


async def test_the_condition_follows_readiness(play: Play) -> None:
    """It is written when it changes, not at every look."""
    telling = play.announcer(condition=True)
    await telling.tell()
    await telling.tell()
    watch = play.stage.agent._watch
    there = await watch.present()
    await play.stage.kubelet.stop(unlink=True)
    await watch.gone(there)
    await telling.tell()
    shown = [(c["type"], c["status"], c["message"]) for c in play.server.conditions]
    assert shown == [
        ("NodeplugAwkwardReady", "True", "all resources are served"),
        ("NodeplugAwkwardReady", "False", "the kubelet is not there"),
    ]


async def test_the_taint_goes_once_all_is_ready_and_no_other_goes_with_it(play: Play) -> None:
    """R52: pods must not come before the devices are listed."""
    telling = play.announcer(remove_taint="nodeplug.io/starting")
    play.reload = ReloadReport((Trouble("BackendNotLoaded", "not yet", blocks=True),), 0)
    await telling.tell()
    assert len(play.server.taints) == 2
    play.reload = ReloadReport((refusal(ConfigError("log.level: is wrong")),), 1)
    await telling.tell()
    assert play.server.taints == [{"key": "other"}]
    calls = len(play.server.calls)
    await telling.tell()
    assert len(play.server.calls) == calls


async def test_a_taint_is_not_removed_over_another_s_change(play: Play) -> None:
    """Somebody else wrote to the node between the look and the removal."""
    telling = play.announcer(remove_taint="nodeplug.io/starting")
    play.server.meddle = True
    with pytest.raises(ClusterError, match="409 the object has been modified"):
        await telling.tell()
    play.server.meddle = False
    await telling.tell()
    assert play.server.taints == [{"key": "other"}]


async def test_a_slow_api_server_costs_its_limit(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the process that waits for it is gone."""
    monkeypatch.setattr(courier, "_SECONDS", 1.0)
    play.server.release.clear()
    with pytest.raises(ClusterError, match="no answer of the API server within 1 s"):
        await play.announcer(condition=True).tell()


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("token", "No such file or directory"),
        ("ca.crt", "No such file or directory"),
        ("port", "Connection refused"),
        ("authority", "certificate verify failed"),
    ],
)
async def test_an_api_server_that_cannot_be_asked_is_one_line(
    play: Play, damage: str, problem: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No account, nobody there, somebody else there."""
    if damage == "port":
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    elif damage == "authority":
        (tmp_path / "else").mkdir()
        with api_server(tmp_path / "else") as other:
            (play.server.account / "ca.crt").write_bytes((other.account / "ca.crt").read_bytes())
    else:
        (play.server.account / damage).unlink()
    with pytest.raises(ClusterError, match=problem) as caught:
        await play.announcer(condition=True).tell()
    assert "\n" not in str(caught.value)


class Failing:
    """A teller that cannot tell."""

    about = "nothing"

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.tries = 0
        self.enough = asyncio.Event()

    async def tell(self) -> None:
        self.tries += 1
        if self.tries == 3:
            self.enough.set()
        raise self._error


@pytest.mark.parametrize("error", [ClusterError("nobody there"), KeyError("a mistake of ours")])
async def test_trouble_with_the_api_server_is_logged_once(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it is tried."""
    monkeypatch.setattr(announcer, "BATCH_SECONDS", 0.0)
    teller = Failing(error)
    telling = asyncio.create_task(_keep_telling(teller))
    async with patience(5):
        await teller.enough.wait()
    telling.cancel()
    assert [r.message for r in caplog.records].count("API server not told") == 1


async def test_without_a_node_s_name_nothing_is_told(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    """It would be part of a path."""
    await play.announcer(node="../../secrets", events=True).run()
    assert play.server.calls == []
    assert "NODE_NAME is not the name of a node" in caplog.text
    assert "API server" in fallbacks()


def refused_events(status: int) -> Callable[[str, Any], int | None]:
    return lambda path, _: status if "/events" in path else None


@pytest.mark.parametrize("status", [401, 403, 404, 422, 429, 500])
async def test_a_refused_event_holds_up_neither_condition_nor_taint(
    play: Play, status: int
) -> None:
    """Else no pod would come to the node, for want of a right that only Events need."""
    play.stage.set(State(sick=("awk-board-1",)))
    await play.stage.listed(allocatable=3)
    play.server.refuse = refused_events(status)
    telling = play.announcer(events=True, condition=True, remove_taint="nodeplug.io/starting")
    with suppress(ClusterError):
        await telling.tell()
    assert [each["status"] for each in play.server.conditions] == ["True"]
    assert play.server.taints == [{"key": "other"}]


@pytest.mark.parametrize(("part", "status"), [("/status", 403), ("/nodes/", 403)])
async def test_a_refused_condition_or_taint_holds_up_no_event(
    play: Play, part: str, status: int
) -> None:
    """Each needs a right of its own."""
    play.stage.set(State(sick=("awk-board-1",)))
    await play.stage.listed(allocatable=3)
    play.server.refuse = lambda path, _: status if part in path else None
    telling = play.announcer(events=True, condition=True, remove_taint="nodeplug.io/starting")
    with pytest.raises(ClusterError, match="403"):
        await telling.tell()
    assert len(play.told) == 1


async def test_an_event_that_is_refused_for_good_holds_up_no_other(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged and not tried again."""
    play.server.refuse = lambda _, body: 422 if "awk-board-1" in body.get("message", "") else None
    play.stage.set(State(sick=("awk-board-1", "awk-board-2")))
    await play.stage.listed(allocatable=2)
    telling = play.announcer(events=True)
    await telling.tell()
    calls = len(play.server.calls)
    await telling.tell()
    assert len(play.server.calls) == calls
    assert ["awk-board-2" in message for _, message in play.told] == [True]
    assert [r.message for r in caplog.records].count("event refused") == 1


async def test_of_many_events_those_that_were_taken_are_not_told_again(play: Play) -> None:
    """Only what was refused is."""
    refuse = lambda _, body: 403 if "awk-board-1" in body.get("message", "") else None  # noqa: E731
    play.server.refuse = refuse
    play.stage.set(State(sick=("awk-board-1", "awk-board-2")))
    await play.stage.listed(allocatable=2)
    telling = play.announcer(events=True)
    with pytest.raises(ClusterError, match="403"):
        await telling.tell()
    play.server.refuse = lambda _path, _body: None
    await telling.tell()
    assert sorted(event["count"] for event in play.server.told.values()) == [1, 1]
    assert len(play.told) == 2


async def test_an_event_of_a_node_with_a_long_name_has_a_name_that_is_allowed(play: Play) -> None:
    """An object's name has 253 characters at most, as a node's."""
    node = "n" * 62 + ("." + "n" * 62) * 3 + "n"
    play.stage.set(State(sick=("awk-board-1",)))
    await play.stage.listed(allocatable=3)
    await play.announcer(node, events=True).tell()
    [name] = play.server.told
    assert len(node) == 252
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", name)
    assert len(name) <= 253


async def test_at_the_end_nobody_knows_any_more(play: Play) -> None:
    """Readiness as of now is no truth of later."""
    telling = asyncio.create_task(play.announcer(condition=True).run())
    async with patience(10):
        while not play.server.conditions:  # noqa: ASYNC110 - told elsewhere
            await asyncio.sleep(0.01)
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
    assert [each["status"] for each in play.server.conditions] == ["True", "Unknown"]


async def test_at_a_handover_the_next_agent_tells(play: Play) -> None:
    """What this one would say of the end might come last."""
    telling = asyncio.create_task(play.announcer(condition=True).run())
    async with patience(10):
        while not play.server.conditions:  # noqa: ASYNC110 - told elsewhere
            await asyncio.sleep(0.01)
    await play.stage.agent.release()
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
    assert [each["status"] for each in play.server.conditions] == ["True"]


async def test_the_end_does_not_wait_for_an_api_server_that_hangs(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pod has ten seconds to end."""
    monkeypatch.setattr(announcer, "_LEAVE_SECONDS", 0.5)
    play.server.release.clear()
    telling = asyncio.create_task(play.announcer(condition=True).run())
    async with patience(10):
        while not play.server.calls:  # noqa: ASYNC110 - told elsewhere
            await asyncio.sleep(0.01)
    telling.cancel()
    async with patience(5):
        await asyncio.gather(telling, return_exceptions=True)


class Clock:
    """Seconds that pass when a test says so."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


class Listener:
    """Takes all calls, and notes when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.heard: list[float] = []

    async def send(self, calls: Sequence[Call]) -> list[Reply]:
        self.heard.append(self._clock.now)
        return [Reply(200, {}) for _ in calls]


async def test_the_condition_is_renewed_every_five_minutes_but_not_by_all_at_once(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is older than 15 minutes is nobody's; a thousand agents start together."""
    clock = Clock()
    monkeypatch.setattr(condition, "time", clock)
    listener = Listener(clock)
    view = View(play.stage.agent.report, lambda: play.reload, play.stage.pod_resources)
    settings = ClusterSettings(condition=True)
    telling = Announcer(settings, NODE, view, listener)  # type: ignore[arg-type]
    while len(listener.heard) < 5:
        await telling.tell()
        clock.now += 2
    pauses = [after - before for before, after in pairwise(listener.heard)]
    assert min(pauses) >= 270
    assert max(pauses) <= 332
    assert len(set(pauses)) > 1
