"""C1 to C4, C6 to C8, C17: finding the kubelet, staying registered with it."""

import asyncio
import shutil
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from kubelets.kinds import EMBEDDED, Kind
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug.testing import Kubelet
from nodeplug.testing.patience import patience
from support.awkward.state import State
from support.plugin import Plugin
from support.stage import BOARD, SLICE, stage
from support.timed import on_this_machine, timed


async def test_c01_the_server_answers_before_it_registers(kind: Kind) -> None:
    """R12: the kubelet calls back within Register; a first try that fails would show."""
    async with stage(kind=kind) as play:
        await play.listed(SLICE, allocatable=8)
        outcomes = [event.detail for event in play.kubelet.journal.of("register")]
        assert outcomes == ["", ""]


@timed
async def test_c02_a_kubelet_restart_is_followed_within_a_second(kind: Kind) -> None:
    """R8 to R10: from kubelet.sock made anew to the complete list."""
    async with stage(kind=kind) as play:
        await play.kubelet.stop(unlink=True)
        await play.kubelet.start()
        started = time.monotonic()
        await play.listed(allocatable=4)
        assert time.monotonic() - started < on_this_machine(1.0)


async def test_c03_old_news_of_the_same_kubelet_causes_nothing(kind: Kind) -> None:
    """R9: an event for the kubelet already registered with must not register again."""
    async with stage(kind=kind) as play:
        socket = play.directory / "kubelet.sock"
        for _ in range(3):
            socket.rename(play.directory / "aside.sock")
            (play.directory / "aside.sock").rename(socket)
        socket.rename(play.directory / "aside.sock")
        await asyncio.sleep(0.05)
        (play.directory / "aside.sock").rename(socket)
        socket.chmod(0o777)
        play.set(State(sick=("awk-board-0",)))
        await play.listed(allocatable=3)
        assert len(play.kubelet.journal.of("register", BOARD)) == 1


async def test_c04_an_absent_kubelet_is_waited_for(kind: Kind) -> None:
    """R6: a dead socket file, no file, then no directory at all; each time we come back."""
    async with stage(kind=kind) as play:
        await play.kubelet.stop()
        await play.kubelet.start()
        await play.listed(allocatable=4)
        await play.kubelet.stop(unlink=True)
        await play.kubelet.start()
        await play.listed(allocatable=4)
        await play.kubelet.stop(unlink=True)
        shutil.rmtree(play.directory)
        play.directory.mkdir()
        await play.kubelet.start()
        await play.listed(allocatable=4)


@timed
async def test_c06_a_stream_killed_under_a_living_kubelet_is_replaced(kind: Kind) -> None:
    """R24: the kubelet never comes back by itself; we register again within 5 s."""
    async with stage(kind=kind) as play:
        await play.kubelet.drop_streams(BOARD)
        dropped = time.monotonic()
        await play.listed(allocatable=0)
        await play.listed(allocatable=4)
        assert time.monotonic() - dropped < on_this_machine(5.0)


@timed
async def test_c07_an_old_instance_that_ends_late_takes_nothing_down_for_long(
    kind: Kind,
) -> None:
    """R15: kubelets up to 1.36 drop the new registration when the old stream ends."""
    async with stage(agents=0, kind=kind) as play:
        old = Plugin(play.directory, BOARD)
        old.send(legacy="Healthy")
        await old.start()
        await old.register()
        await play.listed(allocatable=1)
        play.start_agent()
        await play.listed(allocatable=4)
        await old.stop()
        ended = time.monotonic()
        await play.kubelet.until(lambda: bool(play.kubelet.journal.of("stream end", BOARD)))
        await play.listed(allocatable=4)
        assert time.monotonic() - ended < on_this_machine(5.0)


async def test_c08_a_refusal_that_no_retry_can_help_is_not_retried() -> None:
    """R13: version and name are permanent; the agent says so and waits for another kubelet."""
    async with refused(["the ResourceName is invalid"]) as calls:
        await calls.reach(2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await calls.reach(3)


async def test_c08_a_passing_refusal_is_retried_until_accepted() -> None:
    """R13, R16: a failed registration leaves ghosts in the kubelet; only success cures them."""
    async with refused(["failed to dial device plugin: deadline exceeded"] * 3) as calls:
        await calls.reach(8)
        assert calls.accepted == {BOARD, SLICE}


@pytest.mark.parametrize("kind", EMBEDDED, ids=str)
@pytest.mark.parametrize(("resource", "prepares"), [(BOARD, True), (SLICE, False)])
async def test_c17_options_are_equal_in_both_places(
    kind: Kind, resource: str, *, prepares: bool
) -> None:
    """R17: told at Register, where a real kubelet lets nobody see them, and when asked."""
    async with stage(kind=kind) as play:
        assert isinstance(play.kubelet, Kubelet)
        await play.listed(SLICE, allocatable=8)
        asked = play.kubelet.options(resource)
        told = play.kubelet.journal.of("register", resource)[0].request
        assert told is not None
        assert (told.options, asked.pre_start_required) == (asked, prepares)


class RefusingKubelet(api_grpc.RegistrationServicer):
    """Refuses each resource with these texts in turn, then accepts it."""

    def __init__(self, refusals: list[str]) -> None:
        self.accepted: set[str] = set()
        self._calls = 0
        self._refusals = {name: list(refusals) for name in (BOARD, SLICE)}
        self._called = asyncio.Condition()

    async def Register(  # noqa: N802
        self, request: api.RegisterRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> api.Empty:
        async with self._called:
            self._calls += 1
            if not self._refusals[request.resource_name]:
                self.accepted.add(request.resource_name)
            self._called.notify_all()
        if self._refusals[request.resource_name]:
            text = self._refusals[request.resource_name].pop()
            await context.abort(grpc.StatusCode.UNKNOWN, text)
        return api.Empty()

    async def reach(self, calls: int) -> None:
        async with patience(5), self._called:
            await self._called.wait_for(lambda: self._calls >= calls)


@asynccontextmanager
async def refused(refusals: list[str]) -> AsyncGenerator[RefusingKubelet, None]:
    async with stage(agents=0) as play:
        await play.kubelet.stop(unlink=True)
        kubelet = RefusingKubelet(refusals)
        server = grpc.aio.server()
        api_grpc.add_RegistrationServicer_to_server(kubelet, server)
        server.add_insecure_port(f"unix:{play.directory / 'kubelet.sock'}")
        await server.start()
        play.start_agent()
        try:
            yield kubelet
        finally:
            await server.stop(grace=None)
