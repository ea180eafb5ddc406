"""What is shared, renamed or neither while a pod has it: never given twice, never stranded.

Every cell of sharing before and after, of names, of events and of backends is a node of its own.
Those of one backend and kubelet are played at the same time: each waits most of its time.
"""

import asyncio
import threading
from collections.abc import Mapping
from functools import cache
from itertools import product
from typing import NamedTuple

import pytest

from kubelets.kinds import ALL, EMBEDDED, Kind
from nodeplug.offers import OfferRule
from nodeplug.testing import Event, Pod
from nodeplug_nvidia_gpu import threads
from support.backends_stage import Hardware, Play, backends_stage

BACKENDS = ("custom", "intel_fpga", "nvidia_gpu", "sriov_net")
NEWEST = EMBEDDED[-1]
# Freeing takes two looks at a kubelet and 2 s that a checkpoint must be younger than an answer.
PATIENCE_SECONDS = 12.0
# So many nodes at once leave the machine time to breathe.
_AT_ONCE = 18


class Sharing(NamedTuple):
    """How a resource is offered while the pod starts, and after."""

    before: int
    after: int
    renamed: bool

    def __str__(self) -> str:
        name = "renamed" if self.renamed else "same name"
        return f"{_words(self.before)} to {_words(self.after)}, {name}"

    @property
    def one_group(self) -> bool:
        """Whether those who had it share it with those who get it."""
        return self.before > 1 and self.after > 1 and not self.renamed

    @property
    def keeps_ids(self) -> bool:
        """Whether the id that the pod has is offered again."""
        return not self.renamed and (self.before > 1) == (self.after > 1)


class Cell(NamedTuple):
    sharing: Sharing
    event: str

    def __str__(self) -> str:
        return f"{self.sharing}, {self.event}"


EVENTS = ("reload", "agent", "kubelet", "both")
SHARINGS = [
    *(Sharing(*each) for each in product((1, 4), (1, 4), (False, True))),
    Sharing(before=4, after=8, renamed=False),
]
CELLS = [Cell(*each) for each in product(SHARINGS, EVENTS)]
# The real kubelets, and the oldest, differ in nothing that a backend could know.
PLACES = [(NEWEST, each) for each in BACKENDS] + [(k, "custom") for k in ALL if k != NEWEST]
TOGETHER = [
    pytest.param(*each, marks=pytest.mark.xdist_group(f"sharing matrix, {each[0]} {each[1]}"))
    for each in PLACES
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize(("kind", "backend"), TOGETHER, ids=str)
def test_hardware_in_use_is_given_to_nobody_else_and_is_free_afterwards(
    kind: Kind, backend: str, cell: Cell
) -> None:
    """Except to those of its own group, who agreed to share it."""
    if problem := outcomes(kind, backend)[cell]:
        raise problem


@cache
def outcomes(kind: Kind, backend: str) -> Mapping[Cell, BaseException | None]:
    """Play all cells and return what went wrong in each."""

    async def play_all() -> list[BaseException | None]:
        turns = asyncio.Semaphore(_AT_ONCE)

        async def one(cell: Cell) -> None:
            async with turns, backends_stage(kind) as play:
                await Scene(play, backend, cell).act()

        return await asyncio.gather(*map(one, CELLS), return_exceptions=True)

    with pytest.MonkeyPatch.context() as patch:
        # NVIDIA's library is one for a process; what simulates it is not.
        patch.setattr(threads, "_IN_USE", threading.Semaphore(1000))
        return dict(zip(CELLS, asyncio.run(play_all()), strict=True))


class Scene:
    """One node on which a cell is played."""

    def __init__(self, play: Play, backend: str, cell: Cell) -> None:
        self.play, self.backend = play, backend
        self.sharing, self.event = cell
        self.simulator = play.simulator(backend)
        self.sections = {backend: self.simulator.settings}
        self.before = self.simulator.resource
        self.after = "renamed.example.com/device" if self.sharing.renamed else self.before
        self.first = OfferRule(resource=self.before, replicas=self.sharing.before)
        self.second = OfferRule(
            resource=self.before,
            replicas=self.sharing.after,
            rename=self.after if self.sharing.renamed else "",
        )
        self.devices = 0

    async def act(self) -> None:
        pod, taken = await self.given()
        await self.change(pod)
        others = await self.no_other_gets(taken)
        for each in (pod, *others):
            await self.play.kubelet.remove(each)
        await self.all_come_back(taken)

    async def given(self) -> tuple[Pod, Hardware]:
        """Return a pod with a device, and the device."""
        play = self.play
        self.running = play.start(self.sections, self.first)
        await play.kubelet.until(lambda: play.allocatable(self.before) > 0, 15)
        self.devices = play.allocatable(self.before) // self.sharing.before
        assert self.devices > 1
        pod, taken = await play.given(self.before)
        assert taken
        return pod, taken

    async def change(self, pod: Pod) -> None:
        """Let the event bring the other offer, and wait for a list if there must be another."""
        lists = len(self.lists)
        if self.event == "both":
            await self.play.kubelet.stop()
        if self.event in {"agent", "both"}:
            await self.running.stop()
            self.running = self.play.start(self.sections, self.second)
        else:
            await self.running.reload(self.second)
        if self.event == "kubelet":
            await self.play.restart_kubelet(pod)
        elif self.event == "both":
            await self.play.start_kubelet(pod)
        if self.event != "reload":
            await self.play.kubelet.until(lambda: len(self.lists) > lists, 15)

    @property
    def lists(self) -> list[Event]:
        """The lists that the kubelet got of the resource that is offered in the end."""
        return self.play.kubelet.journal.of("list", self.after)

    async def no_other_gets(self, taken: Hardware) -> list[Pod]:
        """Have pods take all they can get, which is all but what is taken."""
        play, sharing = self.play, self.sharing
        whole = self.devices * sharing.after
        left = whole if sharing.keeps_ids else whole - sharing.after
        await play.settled(self.after, left)
        pods, hardware = await play.rest(self.after)
        if sharing.one_group:
            assert taken <= hardware
        else:
            assert hardware.isdisjoint(taken)
        assert len(pods) == left - sharing.keeps_ids
        return pods

    async def all_come_back(self, taken: Hardware) -> None:
        """Have one pod take everything."""
        whole = self.devices * self.sharing.after
        await self.play.kubelet.until(
            lambda: self.play.allocatable(self.after) == whole, PATIENCE_SECONDS
        )
        _, hardware = await self.play.given(self.after, whole)
        assert taken <= hardware


def _words(replicas: int) -> str:
    return f"shared by {replicas}" if replicas > 1 else "exclusive"
