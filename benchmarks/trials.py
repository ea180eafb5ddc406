"""What is measured of one tree in one turn, always with agents that have just been started."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import grpc

from benchmarks.calls import request
from benchmarks.node import BOARD, EXTRA
from benchmarks.report import percentile
from benchmarks.stand import Contender, Stand, custom_section, open_stand, resource_of
from benchmarks.trees import Tree
from benchmarks.usage import cpu_share, spent
from nodeplug.host.root import HostRoot
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug.testing import Pod
from support.awkward.state import State, write_state

# One of so many calls is for an agent beside the one that is measured.
_OWN_CALLS = 8
_WARM_CALLS = 16
_OPTIONS = [("grpc.default_authority", "localhost")]

Call = Callable[[], object]
Sample = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done in a turn.

    It begins so many `quiet_seconds` after the first lists: an agent is not done with its start
    then. Changes are `apart_seconds` from each other: looks at 10,000 nodes that follow each other
    sooner are a storm, which `custom` slows. Idleness is watched for `idle_seconds`, and again
    `settle_seconds` later.
    """

    calls: int
    many: int
    changes: int
    quiet_seconds: float
    apart_seconds: float
    idle_seconds: float
    settle_seconds: float


Trial = Callable[[Tree, Sizes], Awaitable[Sample]]


async def alone(tree: Tree, sizes: Sizes) -> Sample:
    """Give one device after the other."""
    return await _allocate(tree, sizes, beside=0)


async def shared(tree: Tree, sizes: Sizes) -> Sample:
    """Do so beside three other agents, which give devices, too."""
    return await _allocate(tree, sizes, beside=3)


async def _allocate(tree: Tree, sizes: Sizes, beside: int) -> Sample:
    async with open_stand(tree) as stand:
        agent = await _serving(stand, "one", _WARM_CALLS + sizes.calls)
        # Some calls of theirs are done with before the first of ours that counts.
        count = _WARM_CALLS + sizes.calls // _OWN_CALLS
        for number in range(beside):
            await _serving(stand, f"other{number}", count)
        await asyncio.sleep(sizes.quiet_seconds)
        with grpc.insecure_channel(stand.socket(resource_of("one")), _OPTIONS) as channel:
            own = _calls(stand, channel, "one")
            if not beside:
                return await asyncio.to_thread(_time, agent, own, [])
            names = [f"other{number}" for number in range(beside)]
            channels = [
                grpc.insecure_channel(stand.socket(resource_of(name)), _OPTIONS) for name in names
            ]
            others = [
                iter(_calls(stand, each, name)) for each, name in zip(channels, names, strict=True)
            ]
            try:
                return await asyncio.to_thread(_time, agent, own, others)
            finally:
                for each in channels:
                    each.close()


def _time(agent: Contender, own: Sequence[Call], others: Sequence[Iterator[Call]]) -> Sample:
    for each in others:
        for _ in range(_WARM_CALLS):
            next(each)()
    for call in own[:_WARM_CALLS]:
        call()
    turn = cycle(others)
    seconds = []
    before = spent(agent.pid)
    for number, call in enumerate(own[_WARM_CALLS:]):
        if others and number % _OWN_CALLS == 0:
            next(next(turn))()
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    cpu = spent(agent.pid) - before
    return {
        "cpu": 1e6 * cpu / len(seconds),
        "p50": 1000 * percentile(seconds, 50),
        "p99": 1000 * percentile(seconds, 99),
        "memory": agent.memory(),
    }


def _calls(stand: Stand, channel: grpc.Channel, name: str) -> list[Call]:
    """Return a call for each device that an agent has."""
    allocate = api_grpc.DevicePluginStub(channel).Allocate

    def call_for(device: str) -> Call:
        wanted = request(device)
        return lambda: allocate(wanted, timeout=10)

    return [call_for(device) for device in sorted(stand.kubelet.devices(resource_of(name)))]


async def _serving(stand: Stand, name: str, count: int) -> Contender:
    agent = stand.custom(name, count)
    await agent.start()
    await stand.listed(resource_of(name), count)
    return agent


async def many_simulated(tree: Tree, sizes: Sizes) -> Sample:
    """Let one of ten thousand devices after the other fall sick, as `make bench` does."""
    async with open_stand(tree) as stand:
        root = HostRoot(stand.host)
        write_state(root, State())
        agent = stand.agent("awkward", "awkward", {})
        await agent.start()
        await stand.listed(BOARD, 4)
        before = agent.memory()
        write_state(root, State(extra=sizes.many))
        await stand.listed(EXTRA, sizes.many)
        grown = agent.memory() - before
        seconds = []
        for number in range(1, sizes.changes + 1):
            await asyncio.sleep(sizes.quiet_seconds)
            sick = tuple(f"awk-extra-{n}" for n in range(number))
            started = time.monotonic()
            write_state(root, State(extra=sizes.many, sick=sick))
            seconds.append(await stand.listed(EXTRA, sizes.many - number) - started)
    return {"change": 1000 * percentile(seconds, 50), "memory": grown}


async def many_nodes(tree: Tree, sizes: Sizes) -> Sample:
    """Remove one of ten thousand device nodes after the other."""
    resource = resource_of("one")
    async with open_stand(tree) as stand:
        agent = await _serving(stand, "one", sizes.many)
        await asyncio.sleep(sizes.apart_seconds)
        memory = agent.memory()
        seconds = []
        for number in range(sizes.changes):
            node = stand.host / f"dev/one-{number}"
            started = time.monotonic()
            node.unlink()
            seconds.append(await stand.listed(resource, sizes.many - number - 1) - started)
            await asyncio.sleep(sizes.apart_seconds)
    return {"change": 1000 * percentile(seconds, 50), "memory": memory}


async def blocked(tree: Tree, sizes: Sizes) -> Sample:
    """Watch an agent idle while a pod has its devices, one of them also under another name."""
    async with open_stand(tree) as stand:
        minors = [stand.make_node(f"one-{number}") for number in range(4)]
        agent = stand.agent("both", "custom", custom_section("one", "twin"))
        await agent.start()
        await stand.listed(resource_of("one"), 4)
        await stand.kubelet.admit(Pod.of({resource_of("one"): 4}))
        stand.make_node("twin-0", minors[0])
        await stand.kubelet.until(lambda: bool(stand.kubelet.devices(resource_of("twin"))))
        await asyncio.sleep(sizes.idle_seconds / 2)
        soon = await cpu_share(agent.pid, sizes.idle_seconds)
        await asyncio.sleep(sizes.settle_seconds)
        late = await cpu_share(agent.pid, sizes.idle_seconds)
    return {"soon": soon, "late": late}
