"""Degraded is what is not as it should be, while the kubelet can use the agent."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from nodeplug import pool
from nodeplug.allocation import BackendHandle
from nodeplug.offers import OfferRule
from nodeplug.supervisor.agent import Rules
from nodeplug.values.device import Device
from nodeplug.values.inventory import Inventory
from support.awkward.backend import Settings
from support.awkward.state import State
from support.stage import BOARD, SLICE, Stage, stage
from support.watched import Watch, watched

OTHER = "example.com/other"
SECRET = "NOT-A-DOMAIN-BUT-A-SECRET"  # noqa: S105 - it stands for one


@pytest_asyncio.fixture(name="play")
async def _play() -> AsyncGenerator[Stage, None]:
    async with stage() as play:
        await play.listed(SLICE, allocatable=8)
        yield play


@pytest_asyncio.fixture(name="watch")
async def _watch(play: Stage) -> AsyncGenerator[Watch, None]:
    async with watched(play) as watch:
        yield watch


async def degraded(watch: Watch) -> dict[str, float]:
    name = "nodeplug_degraded{kind="
    samples = await watch.samples()
    return {k[len(name) : -1]: value for k, value in samples.items() if k.startswith(name)}


async def test_a_sound_agent_is_not_degraded(watch: Watch) -> None:
    """No series, no line."""
    await watch.until("/readyz", 200, "ok")
    assert await degraded(watch) == {}


async def test_settings_that_do_not_work_are_told_until_others_are_asked_for(
    play: Stage, watch: Watch
) -> None:
    """The state is what is wanted minus what is served, whenever that was."""
    await play.agent.apply(Rules(), {"awkward": Settings(domain=SECRET)})
    await watch.until("/readyz", 200, "degraded: backend awkward: its new settings do not work")
    assert await degraded(watch) == {"SettingsKept": 1}
    samples = await watch.samples()
    assert samples["nodeplug_configuration_last_reload_successful"] == 0
    await play.agent.apply(Rules(), {"awkward": Settings()})
    await watch.until("/readyz", 200, "ok")


async def test_a_rule_that_is_refused_is_told_and_what_held_before_stays(
    play: Stage, watch: Watch
) -> None:
    """Of one resource: its policy contradicts that of another rule."""
    await play.agent.apply(Rules([OfferRule(resource=BOARD, replicas=2)]), {})
    await play.listed(BOARD, allocatable=8)
    first = OfferRule(resource=BOARD, devices={"board": 0}, replicas=2, policy="packed")
    others = OfferRule(resource="awkward.example.com/*", replicas=3, policy="spread")
    await play.agent.apply(Rules([first, others]), {})
    await play.listed(SLICE, allocatable=24)
    await watch.until("/readyz", 200, f"degraded: {BOARD} of backend awkward: a rule")
    assert (play.allocatable(BOARD), await degraded(watch)) == (8, {"RuleRefused": 1})


async def test_a_list_that_is_too_large_is_told(
    play: Stage, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The former one stays."""
    monkeypatch.setattr(pool, "LIST_LIMIT", 1000)
    await play.agent.apply(Rules([OfferRule(resource=BOARD, replicas=100)]), {})
    await watch.until("/readyz", 200, f"degraded: {BOARD}: its list is too large")
    assert (play.allocatable(), await degraded(watch)) == (4, {"ListTooLarge": 1})
    await play.agent.apply(Rules(), {})
    await watch.until("/readyz", 200, "ok")


async def test_replicas_that_no_list_can_hold_leave_those_of_before(
    play: Stage, watch: Watch
) -> None:
    """With the devices of now; told as any rule that is refused."""
    await play.agent.apply(Rules([OfferRule(resource=BOARD, replicas=2)]), {})
    await play.listed(BOARD, allocatable=8)
    await play.agent.apply(Rules([OfferRule(resource=BOARD, replicas=100_000)]), {})
    await watch.until("/readyz", 200, f"degraded: {BOARD} of backend awkward: a rule")
    play.set(State(boards=5))
    await play.listed(BOARD, allocatable=10)


async def test_a_list_that_grows_too_large_by_itself_ends_nothing(
    play: Stage, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by ids that left and stay listed."""
    monkeypatch.setattr(pool, "KUBELET_LIMIT", 10)
    play.report().pool.suspect({"awk-board-1"}, "tried", 60)
    await watch.until("/readyz", 200, f"degraded: {BOARD}: its list is too large")
    assert not play.agents[0].done()


async def test_a_kubelet_that_does_not_say_what_is_in_use_is_told() -> None:
    """What was given is taken to be in use meanwhile."""
    async with stage(agents=0) as play:
        play.pod_resources = play.directory / "nobody.sock"
        play.start_agent()
        await play.listed(allocatable=4)
        async with watched(play) as watch:
            await watch.until("/readyz", 200, "degraded: the kubelet does not say what is in use")
            assert await degraded(watch) == {"EvidenceLate": 1}


async def test_a_name_that_is_another_backend_s_is_told(play: Stage, watch: Watch) -> None:
    """For as long as that is so."""
    other = BackendHandle("other")
    device = Device(id="o1", resource=OTHER)
    await play.agent.publish(other, Inventory.of([device]))
    await play.agent.apply(Rules([OfferRule(resource=BOARD, rename=OTHER)]), {})
    await watch.until("/readyz", 200, f"degraded: {BOARD} of backend awkward: another backend")
    assert await degraded(watch) == {"NameTaken": 1}
    await play.agent.publish(other, Inventory.of([]))
    await play.listed(OTHER, allocatable=4)
    await watch.until("/readyz", 200, "ok")


@pytest.mark.parametrize("method", ["host_files", "labels"])
async def test_what_a_backend_raises_over_its_files_costs_it_its_news(method: str) -> None:
    """The devices and files that were there stay; a device without its file is not given."""
    async with stage(agents=0) as play:
        play.features = "/features"
        play.start_agent()
        await play.listed(allocatable=4)
        [labels] = play.label_files()
        before = labels.read_bytes()
        async with watched(play) as watch:
            play.set(State(boards=5, spoilt=method))
            await watch.until("/readyz", 200, "degraded: backend awkward: its devices or files")
            await play.kubelet.until(lambda: len(play.kubelet.devices(BOARD)) == 5)
            assert play.allocatable() == (5 if method == "labels" else 4)
            assert await degraded(watch) == {"OffersKept": 1}
            info = play.host.path("/awkward/info-awk-board-3")
            assert (info.exists(), labels.read_bytes() == before) == (True, method == "labels")
            play.set(State(boards=6))
            await play.listed(allocatable=6)
            await watch.until("/readyz", 200, "ok")


async def test_whatever_is_raised_while_devices_are_offered_ends_nothing(
    play: Stage, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the agent nor the backend: what is served stays."""

    def spoilt(*_: object) -> None:
        raise KeyError(SECRET)

    with monkeypatch.context() as patch:
        patch.setattr("nodeplug.supervisor.offering.advertise", spoilt)
        play.set(State(boards=5))
        await watch.until("/readyz", 200, "degraded: backend awkward: its devices or files")
        assert SECRET not in (await watch.get("/readyz"))[1]
        assert (play.allocatable(), play.agents[0].done()) == (4, False)
    await play.agent.apply(Rules([OfferRule(resource=BOARD, replicas=2)]), {})
    await play.listed(allocatable=10)
    await watch.until("/readyz", 200, "ok")


async def test_what_anybody_may_read_holds_no_value_of_the_configuration(
    play: Stage, watch: Watch
) -> None:
    """Neither of a section that is refused nor of one that does not work."""
    await play.agent.apply(Rules(), {"awkward": Settings(domain=SECRET)})
    await watch.until("/readyz", 200, "do not work")
    assert SECRET not in (await watch.get("/readyz"))[1]
