"""C14, C16, C21: handing devices out."""

import asyncio
import time

import grpc
import grpc.aio
import pytest

from kubelets.kinds import Kind
from nodeplug import allocation
from nodeplug.kubelet import service
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug.testing import AdmissionError, Container, Pod
from nodeplug.values.device import Health
from support.awkward.state import State
from support.stage import BOARD, SLICE, Stage, stage
from support.timed import on_this_machine, timed


async def ask(play: Stage, *containers: list[str]) -> api.AllocateResponse:
    path = min((play.directory / ".nodeplug").glob("*/.*.sock"))
    requests = [api.ContainerAllocateRequest(devices_ids=ids) for ids in containers]
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        return await api_grpc.DevicePluginStub(channel).Allocate(
            api.AllocateRequest(container_requests=requests)
        )


async def code(play: Stage, ids: list[str]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(play, ids)
    return caught.value.code(), caught.value.details() or ""


async def test_c14_equal_requests_get_equal_answers() -> None:
    """R46: the same id comes again for an app container after an init container."""
    async with stage() as play:
        first = await ask(play, ["awk-board-1", "awk-board-0"])
        assert first == await ask(play, ["awk-board-0", "awk-board-1"])


async def test_c14_an_id_given_twice_is_injected_once() -> None:
    """A replica of a device may come beside another of the same."""
    async with stage() as play:
        twice = await ask(play, ["awk-board-0", "awk-board-0"])
        assert len(twice.container_responses[0].devices) == 1


async def test_c14_n_requests_get_n_answers() -> None:
    """R41, for kubelets that may batch one day."""
    async with stage() as play:
        reply = await ask(play, ["awk-board-0"], ["awk-board-1"], ["awk-board-2"])
        envs = [c.envs["AWKWARD_BOARD"] for c in reply.container_responses]
        assert envs == ["awk-board-0", "awk-board-1", "awk-board-2"]


@pytest.mark.parametrize(
    ("ids", "expected", "text"),
    [
        (["nobody"], grpc.StatusCode.NOT_FOUND, "has no device 'nobody'"),
        (["awk-board-3"], grpc.StatusCode.FAILED_PRECONDITION, "told to be sick"),
        ([], grpc.StatusCode.FAILED_PRECONDITION, "names no device"),
    ],
)
async def test_c14_what_cannot_be_served_is_an_error(
    ids: list[str], expected: grpc.StatusCode, text: str
) -> None:
    """R42: never an empty answer, which would leave the devices reserved."""
    async with stage(agents=0) as play:
        play.set(State(sick=("awk-board-3",)))
        play.start_agent()
        await play.listed(allocatable=3)
        found, details = await code(play, ids)
        assert found is expected
        assert text in details


@timed
async def test_c14_a_call_that_hangs_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """R43: the kubelet admits no other pod meanwhile."""
    monkeypatch.setattr(allocation, "ALLOCATE_SECONDS", 0.3)
    async with stage(State(hang=True)) as play:
        started = time.monotonic()
        found, _ = await code(play, ["awk-board-0"])
        assert found is grpc.StatusCode.DEADLINE_EXCEEDED
        assert time.monotonic() - started < on_this_machine(1.0)


async def test_c14_a_device_that_could_not_be_given_is_taken_off_the_offer(kind: Kind) -> None:
    """R42: or the scheduler would send the next pod into the same failure."""
    async with stage(State(fail=True), kind=kind) as play:
        with pytest.raises(AdmissionError, match="told to fail"):
            await play.kubelet.admit(Pod.of({BOARD: 1}))
        await play.listed(allocatable=3)


async def test_c14_only_the_device_at_fault_is_taken_off_the_offer(kind: Kind) -> None:
    """Where the backend says which one it is."""
    async with stage(State(fault="awk-board-2"), kind=kind) as play:
        with pytest.raises(AdmissionError, match="told to be at fault"):
            await play.kubelet.admit(Pod.of({BOARD: 4}))
        await play.listed(allocatable=3)
        assert play.kubelet.devices(BOARD)["awk-board-2"] == "Unhealthy"


async def test_devices_that_do_not_go_together_stay_on_offer(kind: Kind) -> None:
    """A pod that asks for what no container can have must not take it from all others."""
    state = State(
        boards=2,
        nodes={"awk-board-0": "/dev/zero"},
        places={"awk-board-0": "/dev/board", "awk-board-1": "/dev/board"},
    )
    async with stage(state, agents=0, kind=kind) as play:
        play.start_agent()
        await play.listed(allocatable=2)
        with pytest.raises(AdmissionError, match="want /dev/board in one container"):
            await play.kubelet.admit(Pod.of({BOARD: 2}))
        listed = play.report().pool.snapshot.devices
        assert {each.health for each in listed} == {Health.HEALTHY}
        await play.kubelet.admit(Pod.of({BOARD: 1}))


async def test_a_device_that_contradicts_itself_is_taken_off_the_offer(kind: Kind) -> None:
    """R42: no request for it alone can be served, so that the next pod would fail, too."""
    async with stage(State(contradicted="awk-board-2"), kind=kind) as play:
        with pytest.raises(AdmissionError, match="want /dev/awk-board-2"):
            await play.kubelet.admit(Pod.of({BOARD: 4}))
        found, _ = await code(play, ["awk-board-2"])
        assert found is grpc.StatusCode.FAILED_PRECONDITION
        await play.listed(allocatable=3)


async def test_c14_init_and_app_containers_share_a_device(kind: Kind) -> None:
    """R46: reuse goes through a second Allocate for the same id."""
    async with stage(kind=kind) as play:
        init = Container("init", {BOARD: 4}, init=True)
        runs = await play.kubelet.admit(Pod((init, Container("app", {BOARD: 4}))))
        assert runs["init"] == runs["app"]
        assert len(play.kubelet.journal.of("allocate", BOARD)) == 2


async def test_c16_only_the_resource_that_prepares_asks_for_it(kind: Kind) -> None:
    """R17, R55: options are decided per resource. The backend would prepare whatever it is told."""
    async with stage(kind=kind) as play:
        await play.listed(SLICE, allocatable=8)
        pod = Pod.of({BOARD: 2, SLICE: 2})
        await play.kubelet.admit(pod)
        await play.kubelet.start_container(pod, "c0")
        marks = {path.name for path in play.host.path("/awkward").glob("prepared-*")}
        assert marks == {f"prepared-{board}" for board in play.kubelet.held(BOARD)}


async def test_c16_preparing_is_repeatable(kind: Kind) -> None:
    """R55: every restart of the container calls it again."""
    async with stage(kind=kind) as play:
        pod = Pod.of({BOARD: 1})
        await play.kubelet.admit(pod)
        await play.kubelet.start_container(pod, "c0")
        await play.kubelet.start_container(pod, "c0")
        held = next(iter(play.kubelet.held(BOARD)))
        assert play.host.path(f"/awkward/prepared-{held}").read_text() == BOARD


async def test_a_container_with_a_sick_device_may_start_again(kind: Kind) -> None:
    """R34, R55: the pod keeps the device; whether it can be made ready is the backend's to say."""
    async with stage(kind=kind) as play:
        pod = Pod.of({BOARD: 4})
        await play.kubelet.admit(pod)
        play.set(State(sick=("awk-board-1",)))
        await play.listed(allocatable=3)
        await play.kubelet.start_container(pod, "c0")
        assert play.host.path("/awkward/prepared-awk-board-1").exists()


async def test_an_answer_that_the_kubelet_could_not_receive_is_refused_with_its_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R51: it would fail there without a word of ours."""
    monkeypatch.setattr(service, "_ANSWER_LIMIT", 100)
    async with stage() as play:
        status, text = await code(play, ["awk-board-0", "awk-board-1"])
        assert status is grpc.StatusCode.FAILED_PRECONDITION
        assert "bytes, a kubelet receives 100" in text


async def test_c21_answers_survive_a_restart_of_the_agent(kind: Kind) -> None:
    """R45: the kubelet replays the stored answer for the pod's life."""
    async with stage(kind=kind) as play:
        before = await ask(play, ["awk-board-0", "awk-board-1"])
        await play.stop_agent(play.agents[0])
        play.start_agent()
        await play.kubelet.until(lambda: len(play.kubelet.journal.of("register", BOARD)) > 1)
        assert await ask(play, ["awk-board-0", "awk-board-1"]) == before


async def test_allocating_waits_for_nobody_else(kind: Kind) -> None:
    """One container's slow backend call holds up no other resource's list."""
    async with stage(State(hang=True), kind=kind) as play:
        hanging = asyncio.create_task(code(play, ["awk-board-0"]))
        await asyncio.sleep(0)
        play.set(State(hang=True, sick=("awk-board-1",)))
        await play.listed(allocatable=3)
        hanging.cancel()
