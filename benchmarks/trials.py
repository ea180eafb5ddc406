"""What is measured of several trees at once, with agents that have just been started.

All of them stand ready, and each has its turn for moments only: noise hits them alike.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import cycle, islice

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

# So many calls are a turn; one more in each is for an agent beside the one that is measured.
_TURN_CALLS = 8
_WARM_CALLS = 16
_FEW = 8
_OPTIONS = [("grpc.default_authority", "localhost")]

Call = Callable[[], object]
Sample = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done with each agent.

    It begins so many `quiet_seconds` after the first lists: an agent is not done with its start
    then. Changes of nodes are `apart_seconds` from each other: looks at 10,000 of them that follow
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


Trial = Callable[[Sequence[Tree], Sizes], Awaitable[Sequence[Sample]]]


async def alone(trees: Sequence[Tree], sizes: Sizes) -> Sequence[Sample]:
    """Give one device after the other."""
    return await _allocate(trees, sizes, beside=0)


async def shared(trees: Sequence[Tree], sizes: Sizes) -> Sequence[Sample]:
    """Do so beside three other agents, which give devices, too."""
    return await _allocate(trees, sizes, beside=3)


class _Customer:
    """Who asks one agent for devices, and others beside it."""

    def __init__(
        self, agent: Contender, own: Sequence[Call], others: Sequence[Sequence[Call]]
    ) -> None:
        self._agent = agent
        self._own = iter(own)
        self._others = cycle([iter(each) for each in others])
        self._beside = bool(others)
        self._seconds: list[float] = []
        self._cpu = 0.0

    def turn(self, count: int) -> None:
        """Ask for some more, one call after the other."""
        if self._beside:
            next(next(self._others))()
        before = spent(self._agent.pid)
        for call in islice(self._own, count):
            started = time.perf_counter()
            call()
            self._seconds.append(time.perf_counter() - started)
        self._cpu += spent(self._agent.pid) - before

    def forget(self) -> None:
        """Begin to measure."""
        self._seconds, self._cpu = [], 0.0

    def sample(self) -> Sample:
        return {
            "cpu": 1e6 * self._cpu / len(self._seconds),
            "p50": 1000 * percentile(self._seconds, 50),
            "p99": 1000 * percentile(self._seconds, 99),
            "memory": self._agent.memory(),
        }


async def _allocate(trees: Sequence[Tree], sizes: Sizes, beside: int) -> Sequence[Sample]:
    async with _stands(trees) as stands:
        count = _WARM_CALLS + sizes.calls
        agents = await asyncio.gather(*[_serving(each, "one", count) for each in stands])
        names = [f"other{number}" for number in range(beside)]
        for name in names:
            await asyncio.gather(*[_serving(each, name, count // _TURN_CALLS) for each in stands])
        await asyncio.sleep(sizes.quiet_seconds)
        with ExitStack() as stack:
            customers = [
                _Customer(
                    agent,
                    _calls(stand, stack, "one"),
                    [_calls(stand, stack, name) for name in names],
                )
                for agent, stand in zip(agents, stands, strict=True)
            ]
            await asyncio.to_thread(_in_turns, customers, sizes.calls)
        return [each.sample() for each in customers]


def _in_turns(customers: Sequence[_Customer], calls: int) -> None:
    for each in customers:
        each.turn(_WARM_CALLS)
        each.forget()
    for _ in range(calls // _TURN_CALLS):
        for each in random.sample(customers, len(customers)):
            each.turn(_TURN_CALLS)


def _calls(stand: Stand, stack: ExitStack, name: str) -> list[Call]:
    """Return a call for each device that an agent has."""
    channel = grpc.insecure_channel(stand.socket(resource_of(name)), _OPTIONS)
    allocate = api_grpc.DevicePluginStub(stack.enter_context(channel)).Allocate

    def call_for(device: str) -> Call:
        wanted = request(device)
        return lambda: allocate(wanted, timeout=10)

    return [call_for(device) for device in sorted(stand.kubelet.devices(resource_of(name)))]


async def _serving(stand: Stand, name: str, count: int) -> Contender:
    agent = stand.custom(name, count)
    await agent.start()
    await stand.listed(resource_of(name), count)
    return agent


@asynccontextmanager
async def _stands(trees: Sequence[Tree]) -> AsyncGenerator[list[Stand], None]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_stand(tree)) for tree in trees]


async def few(trees: Sequence[Tree], sizes: Sizes) -> Sequence[Sample]:
    """Give the eight devices of a usual node."""
    async with _stands(trees) as stands:
        agents = await asyncio.gather(*[_serving(each, "one", _FEW) for each in stands])
        await asyncio.sleep(sizes.quiet_seconds)
        for stand in stands:
            with ExitStack() as stack:
                for call in _calls(stand, stack, "one"):
                    await asyncio.to_thread(call)
        return [{"memory": agent.memory()} for agent in agents]


class _Simulated:
    """Ten thousand simulated devices, which fall sick, as `make bench` has them."""

    def __init__(self, stand: Stand, count: int) -> None:
        self._stand = stand
        self._root = HostRoot(stand.host)
        self._count = count
        self.memory = 0.0

    async def begin(self) -> None:
        write_state(self._root, State())
        agent = self._stand.agent("awkward", "awkward", {})
        await agent.start()
        await self._stand.listed(BOARD, 4)
        before = agent.memory()
        write_state(self._root, State(extra=self._count))
        await self._stand.listed(EXTRA, self._count)
        self.memory = agent.memory() - before

    async def change(self, number: int) -> float:
        sick = tuple(f"awk-extra-{n}" for n in range(number + 1))
        started = time.monotonic()
        write_state(self._root, State(extra=self._count, sick=sick))
        return await self._stand.listed(EXTRA, self._count - number - 1) - started


class _Nodes:
    """Ten thousand device nodes, which vanish."""

    def __init__(self, stand: Stand, count: int) -> None:
        self._stand = stand
        self._count = count
        self.memory = 0.0

    async def begin(self) -> None:
        agent = await _serving(self._stand, "one", self._count)
        self.memory = agent.memory()

    async def change(self, number: int) -> float:
        node = self._stand.host / f"dev/one-{number}"
        started = time.monotonic()
        node.unlink()
        listed = await self._stand.listed(resource_of("one"), self._count - number - 1)
        return listed - started


async def many_simulated(trees: Sequence[Tree], sizes: Sizes) -> Sequence[Sample]:
    """Let one of ten thousand devices after the other fall sick."""
    async with _stands(trees) as stands:
        sides = [_Simulated(each, sizes.many) for each in stands]
        return await _change(sides, sizes.changes, sizes.quiet_seconds)


async def many_nodes(trees: Sequence[Tree], sizes: Sizes) -> Sequence[Sample]:
    """Remove one of ten thousand device nodes after the other."""
    async with _stands(trees) as stands:
        sides = [_Nodes(each, sizes.many) for each in stands]
        return await _change(sides, sizes.changes, sizes.apart_seconds)


async def _change(
    sides: Sequence[_Simulated | _Nodes], changes: int, apart: float
) -> Sequence[Sample]:
    for each in sides:
        await each.begin()
    seconds: dict[object, list[float]] = {each: [] for each in sides}
    for number in range(changes):
        for each in random.sample(sides, len(sides)):
            await asyncio.sleep(apart)
            seconds[each].append(await each.change(number))
    return [
        {"change": 1000 * percentile(seconds[each], 50), "memory": each.memory} for each in sides
    ]


async def blocked(trees: Sequence[Tree], sizes: Sizes) -> Sequence[Sample]:
    """Watch agents idle while pods have their devices, one of them also under another name."""
    async with _stands(trees) as stands:
        return await asyncio.gather(*[_idle(each, sizes) for each in stands])


async def _idle(stand: Stand, sizes: Sizes) -> Sample:
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
