"""How long a real kubelet waits: constants of its own that nobody can set.

Where a deadline can be asked of the call it is, and nothing waits. The rest waits once, for all
versions together.
"""

import asyncio
import time
from itertools import pairwise

import grpc.aio
import pytest

from kubelets.kinds import REAL, Kind
from kubelets.plugin import refuse
from kubelets.stage import A, H, Stage, each, hide, show, since, stage
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug.testing import Pod
from support.found import FoundPlugin
from support.timed import on_this_machine, timed

NOBODY = "kept/nobody.sock"


async def register(play: Stage, resource: str, socket: str, *, within: float | None) -> None:
    request = api.RegisterRequest(version="v1beta1", endpoint=socket, resource_name=resource)
    target = f"unix:{play.kubelet.directory / 'kubelet.sock'}"
    async with grpc.aio.insecure_channel(target) as channel:
        await api_grpc.RegistrationStub(channel).Register(request, timeout=within)


@each
async def test_only_preparing_a_container_has_a_deadline_of_the_kubelets_own(kind: Kind) -> None:
    """30 s; whatever else hangs holds the kubelet up for as long as it hangs (R43, R55)."""
    async with stage(kind) as play:
        plugin = play.plugin()
        plugin.options.pre_start_required = True
        plugin.options.get_preferred_allocation_available = True
        await play.start(plugin, a=H, b=H)
        pod = Pod.of({A: 1})
        await play.kubelet.admit(pod)
        await play.kubelet.start_container(pod, "c0")
        assert {call: plugin.deadlines[call] for call in ("list", "prefer", "allocate")} == {
            "list": None,
            "prefer": None,
            "allocate": None,
        }
        assert plugin.deadlines["prepare"] == pytest.approx(30, abs=3)


@each
async def test_options_are_asked_within_the_callers_deadline_from_1_35(kind: Kind) -> None:
    """Up to 1.34 without one, as in every version for a caller that has set none (R18)."""
    async with stage(kind) as play:
        plugin = await play.serve(a=H)
        assert plugin.deadlines["options"] is None
        other = play.plugin("example.com/b", "kept/b.sock")
        await other.start()
        await register(play, other.resource, other.socket, within=60)
        if since(kind, "1.35"):
            assert other.deadlines["options"] == pytest.approx(60, abs=3)
        else:
            assert other.deadlines["options"] is None


@each
async def test_a_plugin_that_was_found_has_a_second_to_say_who_it_is(kind: Kind) -> None:
    """And five to take the report; its options may take for ever (R18, R74, R75)."""
    async with stage(kind) as play:
        plugin = await show(play, "a.sock", a=H)
        assert plugin.deadlines["info"] == pytest.approx(1, abs=0.5)
        assert plugin.deadlines["report"] == pytest.approx(5, abs=2)
        assert plugin.deadlines["options"] is None


async def dead_endpoint_takes_ten_seconds(play: Stage) -> None:
    began = time.monotonic()
    with pytest.raises(grpc.aio.AioRpcError, match="failed to dial device plugin"):
        await register(play, A, NOBODY, within=None)
    assert 9.9 < time.monotonic() - began < on_this_machine(12)


async def dead_endpoint_of_a_caller_that_gives_up(play: Stage, kind: Kind) -> None:
    began = time.monotonic()
    with pytest.raises(grpc.aio.AioRpcError, match="DEADLINE_EXCEEDED"):
        await register(play, A, NOBODY, within=2)
    # Of the two callers this one is refused first, where its deadline counts.
    await play.kubelet.until(lambda: bool(play.kubelet.journal.of("register", A)), 15)
    took = play.kubelet.journal.of("register", A)[0].at - began
    least, most = (1.9, 4) if since(kind, "1.35") else (9.9, 12)
    assert least < took < on_this_machine(most)


async def asked_later_and_later(plugin: FoundPlugin) -> None:
    await plugin.start()
    await plugin.until_introduced(4)
    pauses = [round(after - before) for before, after in pairwise(plugin.introduced)]
    # 0.5, 1 and 2 s, up to the next of the kubelet's looks, one a second.
    assert all(low <= pause <= low + 1 for low, pause in zip((1, 1, 2), pauses, strict=True))


async def waits(kind: Kind) -> None:
    async with stage(kind) as play, asyncio.TaskGroup() as tasks:
        tasks.create_task(dead_endpoint_takes_ten_seconds(play))
        tasks.create_task(dead_endpoint_of_a_caller_that_gives_up(play, kind))
        silent = hide(play, "silent.sock", "example.com/silent", a=H)
        silent.before_info = refuse
        tasks.create_task(asked_later_and_later(silent))
        if since(kind, "1.36"):
            refusing = hide(play, "refusing.sock", "example.com/refusing", a=H)
            refusing.before_options = refuse
            tasks.create_task(asked_later_and_later(refusing))


@timed
async def test_what_a_kubelet_waits_for() -> None:
    """A dead endpoint costs 10 s (R12); a plugin that fails is asked later and later (R73).

    From 1.35 the caller's deadline ends the former. Up to 1.35 a plugin that has said who it is
    and cannot be connected is not asked again at all.
    """
    async with asyncio.TaskGroup() as tasks:
        for kind in REAL:
            tasks.create_task(waits(kind))
