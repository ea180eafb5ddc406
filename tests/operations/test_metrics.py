"""What Prometheus sees of an agent, driven through the embedded kubelet."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from nodeplug.meters.family import Family, Sample
from nodeplug.offers import OfferRule
from nodeplug.operations import observatory, state, tally
from nodeplug.operations.exposition import render
from nodeplug.supervisor.reload import ReloadReport, refusal
from nodeplug.supervisor.report import AgentReport
from nodeplug.testing import AdmissionError, Pod
from nodeplug.testing.kubelet import pod_services
from nodeplug.testing.kubelet.podresources import PodResources
from nodeplug.values.errors import ConfigError
from support.awkward.state import State
from support.held_board import held_board
from support.stage import BOARD, EXTRA, stage
from support.timed import on_this_machine, timed
from support.watched import Watch, exchange, watched


async def growth(watch: Watch, before: dict[str, float], name: str) -> float:
    return (await watch.samples()).get(name, 0) - before.get(name, 0)


async def test_devices_are_counted_by_health_and_reason() -> None:
    """What is after a colon in a reason is a detail, and no label."""
    async with stage() as play, watched(play) as watch:
        play.set(State(sick=("awk-board-1",)))
        await play.listed(allocatable=3)
        samples = await watch.samples()
        of = f"backend=awkward,resource={BOARD}"
        assert samples[f"nodeplug_devices{{{of},health=Healthy}}"] == 3
        assert samples[f"nodeplug_devices{{{of},health=Unhealthy}}"] == 1
        assert samples[f"nodeplug_unhealthy_devices{{{of},reason=told to be sick}}"] == 1


async def test_a_device_that_is_held_is_not_counted_with_the_sick() -> None:
    """An alert on sick devices must not fire for one that a container has by another name."""
    async with stage() as play, watched(play, per_device=True) as watch:
        board = (await held_board(play)).partition("::")[0]
        samples = await watch.samples()
        of = f"backend=awkward,resource={BOARD}"
        standings = ("Healthy", "Unhealthy", "Held")
        counts = [samples[f"nodeplug_devices{{{of},health={each}}}"] for each in standings]
        assert counts == [3, 0, 1]
        sick = [name for name in samples if name.startswith(f"nodeplug_unhealthy_devices{{{of},")]
        assert sick == []
        assert samples[f"nodeplug_device_healthy{{resource={BOARD},device={board}}}"] == 0
        held = {name for name in samples if name.startswith("nodeplug_device_held")}
        former = f"nodeplug_device_held{{resource={BOARD}.shared,device={board}::0}}"
        assert held == {f"nodeplug_device_held{{resource={BOARD},device={board}}}", former}


def reported(**facts: Any) -> dict[str, list[Sample]]:
    report = AgentReport((), (), kubelet_present=True, stale=0, **facts)
    return {each.name: list(each.samples) for each in state.families(report, tally.Tally())}


def test_of_the_holds_that_block_the_oldest_are_shown() -> None:
    """A node may have thousands; each would be a series."""
    holds = {("a.b/c", f"{number}"): float(number) for number in range(60)}
    shown = reported(holds=holds)["nodeplug_hold_blocking_seconds"]
    assert [sample.value for sample in shown] == list(range(59, 9, -1))
    assert shown[0].labels == (("resource", "a.b/c"), ("device", "59"))


def test_a_ledger_that_cannot_be_written_is_shown() -> None:
    """The agent serves on, and nobody would know."""
    found = [reported(ledger_trouble=why)["nodeplug_ledger_writable"] for why in ("", "full")]
    assert [sample.value for samples in found for sample in samples] == [1, 0]


def test_a_fallback_is_shown() -> None:
    """Without it all looks well, only later."""
    shown = reported(fallbacks={"watch of x": "directory not watched"})["nodeplug_fallback"]
    assert [(sample.labels, sample.value) for sample in shown] == [((("what", "watch of x"),), 1)]


async def test_reasons_without_number_make_no_series_without_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rare ones are one series."""
    monkeypatch.setattr(tally, "_REASONS_LIMIT", 0)
    async with stage() as play, watched(play) as watch:
        play.set(State(sick=("awk-board-1", "awk-board-2")))
        await play.listed(allocatable=2)
        samples = await watch.samples()
        of = f"backend=awkward,resource={BOARD}"
        assert samples[f"nodeplug_unhealthy_devices{{{of},reason=other}}"] == 2


async def test_allocations_and_refusals_are_counted_and_timed() -> None:
    """A refusal by the code of its answer."""
    async with stage() as play, watched(play) as watch:
        play.rules = [OfferRule(resource=BOARD, replicas=2, fail_requests_greater_than_one=True)]
        await play.reload()
        await play.listed(allocatable=8)
        before = await watch.samples()
        await play.kubelet.admit(Pod.of({BOARD: 1}))
        with pytest.raises(AdmissionError):
            await play.kubelet.admit(Pod.of({BOARD: 2}))
        of = f"resource={BOARD}"
        refusals = f"nodeplug_allocation_refusals_total{{{of},code=FAILED_PRECONDITION}}"
        assert await growth(watch, before, f"nodeplug_allocations_total{{{of}}}") == 1
        assert await growth(watch, before, refusals) == 1
        assert await growth(watch, before, f"nodeplug_allocate_duration_seconds_count{{{of}}}") == 2


async def test_registrations_streams_and_kubelet_restarts_are_told() -> None:
    """The restart is counted once."""
    async with stage() as play, watched(play) as watch:
        before = await watch.samples()
        await play.kubelet.restart()
        await play.listed(allocatable=4)
        accepted = f"nodeplug_registrations_total{{resource={BOARD},outcome=accepted}}"
        assert await growth(watch, before, accepted) == 1
        assert await growth(watch, before, "nodeplug_kubelet_restarts_total") == 1
        samples = await watch.samples()
        assert samples["nodeplug_kubelet_up"] == 1
        assert samples[f"nodeplug_resource_registered{{resource={BOARD}}}"] == 1
        assert samples[f"nodeplug_resource_streams{{resource={BOARD}}}"] == 1


@timed
async def test_the_delay_of_a_change_is_told() -> None:
    """From a backend's news to the list."""
    async with stage() as play, watched(play) as watch:
        before = await watch.samples()
        play.set(State(sick=("awk-board-1",)))
        await play.listed(allocatable=3)
        of = f"{{resource={BOARD}}}"
        assert await growth(watch, before, f"nodeplug_list_delay_seconds_count{of}") == 1
        delay = await growth(watch, before, f"nodeplug_list_delay_seconds_sum{of}")
        assert 0 < delay < on_this_machine(1)


async def test_a_crashed_backend_is_counted_and_shown_as_down() -> None:
    """While it waits for its next start."""
    async with stage() as play, watched(play) as watch:
        before = await watch.samples()
        play.set(State(crash=True))
        await watch.until("/metrics", 200, 'nodeplug_backend_up{backend="awkward"} 0')
        restarts = "nodeplug_backend_restarts_total{backend=awkward}"
        assert await growth(watch, before, restarts) == 1
        assert (await watch.samples())["nodeplug_backend_up{backend=awkward}"] == 0


async def test_what_no_device_can_be_made_of_is_counted() -> None:
    """Its neighbours are served."""
    async with stage(State(odd=("awk-board-1",)), agents=0) as play:
        play.start_agent()
        await play.listed(allocatable=3)
        async with watched(play) as watch:
            samples = await watch.samples()
            assert samples["nodeplug_left_out_devices{backend=awkward}"] == 1


async def test_a_refused_configuration_is_shown() -> None:
    """With the time of the last look."""
    async with stage() as play, watched(play) as watch:
        watch.reload = ReloadReport((refusal(ConfigError("c.yaml: log: is wrong")),), 1234)
        samples = await watch.samples()
        assert samples["nodeplug_configuration_last_reload_successful"] == 0
        assert samples["nodeplug_configuration_last_reload_timestamp_seconds"] == 1234


async def test_series_per_device_are_there_on_request_only() -> None:
    """Replicas have a health each, the device one temperature."""
    async with stage() as play:
        play.rules = [OfferRule(resource=BOARD, replicas=2)]
        await play.reload()
        await play.listed(allocatable=8)
        async with watched(play) as watch:
            assert not any("nodeplug_device_" in name for name in await watch.samples())
        async with watched(play, per_device=True) as watch:
            samples = await watch.samples()
            healthy = f"nodeplug_device_healthy{{resource={BOARD},device=awk-board-1::0}}"
            assert samples[healthy] == 1
            warmth = "nodeplug_device_temperature_celsius{backend=awkward,device=awk-board-1}"
            assert samples[warmth] == 41.5


async def test_devices_in_use_name_their_containers_on_request() -> None:
    """For joins with what else is known of a pod."""
    async with stage() as play, watched(play, pods=True) as watch:
        pod = Pod.of({BOARD: 1})
        await play.kubelet.admit(pod)
        [held] = play.kubelet.held(BOARD)
        of = f"resource={BOARD},device={held},namespace=default,pod={pod.name},container=c0"
        assert (await watch.samples())[f"nodeplug_device_in_use{{{of}}}"] == 1
        await play.kubelet.stop()
        assert not any("in_use" in name for name in await watch.samples())


async def test_a_backend_that_cannot_be_measured_costs_its_own_series_only() -> None:
    """A driver may hang."""
    async with stage() as play, watched(play, per_device=True) as watch:
        play.set(State(hang=True, sick=("awk-board-1",)))
        await play.listed(allocatable=3)
        before = await watch.samples()
        samples = await watch.samples()
        assert not any("temperature" in name for name in samples)
        failures = "nodeplug_telemetry_failures_total{backend=awkward}"
        assert samples[failures] - before.get(failures, 0) == 1


@timed
async def test_ten_thousand_devices_are_scraped_without_disturbing_allocations() -> None:
    """Default series: 20 ms, judged by the CPU time of this process, which plays both sides."""
    async with stage() as play, watched(play) as watch:
        play.set(State(extra=10_000))
        await play.listed(EXTRA, allocatable=10_000)
        spent = []
        for _ in range(10):
            started = time.process_time()
            await watch.get("/metrics")
            spent.append(time.process_time() - started)
        assert min(spent) < on_this_machine(0.020)


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"\x16\x03\x01\r\n\r\n", b"400"),
        (b"GET /metrics?a=b HTTP/1.0\r\nAccept:\r\n\r\n", b"200"),
        (b"HEAD /healthz HTTP/1.1\r\n\r\n", b"200"),
    ],
)
async def test_what_is_no_question_gets_its_status(request_text: bytes, status: bytes) -> None:
    """Whatever scans the node's ports."""
    async with stage() as play, watched(play) as watch:
        answer = await exchange(watch.port, request_text)
        assert answer.split()[1] == status


async def test_an_endless_request_is_cut_off() -> None:
    """Its memory is bounded, and the next one is answered."""
    async with stage() as play, watched(play) as watch:
        answer = await exchange(watch.port, b"x" * 100_000)
        assert answer.split()[1] == b"400"
        assert (await watch.get("/healthz"))[0] == 200


async def test_the_kubelet_is_asked_once_a_second_whoever_asks_us(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each List costs it all pods of the node; all its clients share a limit (R85)."""
    asked = 0

    async def listed(self: PodResources, request: Any, context: Any) -> Any:
        nonlocal asked
        asked += 1
        return await PodResources.List(self, request, context)

    counted = type("Counted", (PodResources,), {"List": listed})
    monkeypatch.setattr(pod_services, "PodResources", counted)
    async with stage() as play, watched(play, pods=True) as watch:
        started, before = time.monotonic(), asked
        while time.monotonic() - started < 3:
            await asyncio.gather(*[watch.get("/metrics") for _ in range(8)])
        assert 1 <= asked - before <= time.monotonic() - started + 1


async def test_a_page_is_made_once_a_second_however_many_ask_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else anybody could have all of the agent's time."""
    made = 0

    async def counted(families: list[Family], kind: str) -> bytes:
        nonlocal made
        made += 1
        return await render(families, kind)

    monkeypatch.setattr(observatory, "render", counted)
    async with stage() as play, watched(play, stands=1) as watch:
        started = time.monotonic()
        for _ in range(20):
            await asyncio.gather(*[watch.get("/metrics") for _ in range(8)])
        assert made <= time.monotonic() - started + 1


def test_resident_memory_is_that_of_this_process() -> None:
    """As the kernel has it."""
    families = {family.name: family.samples[0].value for family in state.process()}
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    assert families["process_resident_memory_bytes"] == pytest.approx(pages * 4096, rel=0.05)
