"""An operator ends a hold that agents cannot prove to be over."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from nodeplug.host.forgetting import Request, Taken, done, requests
from nodeplug.kubelet.evidence import CHECKPOINT
from nodeplug.offers import OfferRule
from nodeplug.supervisor.forgetting import Forgetting
from nodeplug.testing import Pod
from nodeplug.testing.kubelet.cgroups import Cgroups
from support.command import Result, nodeplug, write_config
from support.stage import BOARD, Stage, stage

SHARED = f"{BOARD}.shared"


class Play:
    """A stage on which a replica that a pod has keeps a board back."""

    def __init__(self, play: Stage, pod: Pod, replica: str) -> None:
        self.stage = play
        self.pod = pod
        self.replica = replica
        self.ledger = play.directory.with_name("ledger")
        self.containers = Cgroups(play.host.root)

    async def delete_by_force(self) -> None:
        """Let the kubelet know nothing of the pod any more, while its containers live on."""
        self.containers.begin(self.pod.uid)
        await self.stage.kubelet.remove(self.pod)
        await self.stage.kubelet.admit(Pod.of({BOARD: 1}))  # the kubelet writes its checkpoint

    async def forget(self, *options: str, device: str = "") -> Result:
        config = write_config(
            self.stage.directory.parent,
            {
                "kubelet": {
                    "devicePluginDir": str(self.stage.directory),
                    "podResourcesSocket": str(self.stage.pod_resources),
                },
                "host": {"ledgerDir": str(self.ledger)},
            },
        )
        command = ("allocations", "forget", SHARED, device or self.replica, "--reason", "a test")
        return await asyncio.to_thread(nodeplug, *command, "--config", str(config), *options)

    @asynccontextmanager
    async def taking(
        self, take: Callable[[Request], Awaitable[Taken]]
    ) -> AsyncGenerator[list[Request]]:
        """Have requests taken up, as an agent does."""
        seen: list[Request] = []

        async def look() -> None:
            while True:
                for each in requests(self.ledger):
                    if each not in seen:
                        seen.append(each)
                        done(self.ledger, each, await take(each))
                await asyncio.sleep(0.05)

        task = asyncio.create_task(look())
        try:
            yield seen
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def end(self, _: Request) -> Taken:
        """End the hold, by what the agent itself believes."""
        self.containers.end()
        await self.stage.listed(allocatable=4)
        return Taken("an agent", ended=True)


@asynccontextmanager
async def held_replica() -> AsyncGenerator[Play]:
    async with stage(agents=0) as play:
        play.rules = [OfferRule(resource=BOARD, replicas=2, mark_shared=True)]
        play.start_agent()
        await play.listed(SHARED, allocatable=8)
        pod = Pod.of({SHARED: 1})
        await play.kubelet.admit(pod)
        [replica] = play.kubelet.held(SHARED)
        play.rules = []
        await play.reload()
        await play.listed(allocatable=3)
        yield Play(play, pod, replica)


async def test_a_hold_is_not_ended_while_the_kubelet_shows_it() -> None:
    """It says for which container, and asks nobody."""
    async with held_replica() as play:
        result = await play.forget("--unverified")
        assert (result.code, result.out) == (1, "")
        assert f"default/{play.pod.name}/c0: the hold ends with the pod" in result.err
        assert requests(play.ledger) == []


async def test_a_hold_is_not_ended_while_the_checkpoint_has_it() -> None:
    """Pod resources leaves out init containers, and pods of a kubelet that has just started."""
    async with held_replica() as play:
        await play.stage.kubelet.stop(unlink=True)
        result = await play.forget("--unverified")
        assert result.code == 1
        assert f"checkpoint has {play.replica} of {SHARED} for pod {play.pod.uid}" in result.err


async def test_nothing_is_ended_unseen_unless_that_is_said() -> None:
    """Neither of the two can be read."""
    async with held_replica() as play:
        await play.stage.kubelet.stop(unlink=True)
        (play.stage.directory / CHECKPOINT).write_text("{")
        result = await play.forget("--wait", "0")
        assert result.code == 1
        assert "kubelet's pod resources and checkpoint: give --unverified" in result.err
        assert requests(play.ledger) == []
        result = await play.forget("--wait", "0", "--unverified")
        assert "no agent has taken it up yet" in result.out
        assert [each.device for each in requests(play.ledger)] == [play.replica]


async def test_a_hold_that_is_none_is_an_error() -> None:
    """A slip of the pen, most likely."""
    async with held_replica() as play:
        result = await play.forget(device="awk-board-9")
        assert (result.code, result.err) == (
            1,
            f"nodeplug: nothing is held as awk-board-9 of {SHARED}\n",
        )


async def test_the_command_waits_until_the_hold_is_over() -> None:
    """And says who asked for what."""
    async with held_replica() as play:
        await play.delete_by_force()
        async with play.taking(play.end) as seen:
            result = await play.forget("--output", "json")
        shown = json.loads(result.out)
        assert (result.code, shown["ended"], shown["keptBack"]) == (0, True, [])
        assert {"agent": "an agent", "ended": True, "why": ""} in shown["agents"]
        assert [(each.device, each.reason) for each in seen] == [(play.replica, "a test")]


async def test_an_agent_that_will_not_is_told_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And what is kept back still."""

    async def never(_: Forgetting) -> None:
        """Leave requests to the agent that is played."""

    monkeypatch.setattr(Forgetting, "take_up", never)

    async def refuse(_: Request) -> Taken:
        return Taken("an agent", ended=False, why="its pod has processes")

    async with held_replica() as play:
        await play.delete_by_force()
        async with play.taking(refuse):
            result = await play.forget()
        assert result.code == 1
        rows = [line.split(maxsplit=3) for line in result.out.splitlines()]
        assert ["an", "agent", "no", "its pod has processes"] in rows
        board = play.replica.partition("::")[0]
        assert f"still kept back: {board} of {BOARD}: in use as {play.replica}" in result.out


async def test_without_a_folder_nobody_can_be_asked() -> None:
    """The agents keep what they know in memory."""
    async with held_replica() as play:
        await play.delete_by_force()
        play.ledger = play.ledger / "none"
        result = await play.forget()
        assert (result.code, result.out) == (1, "")
        assert "none: No such file or directory: no agent can be asked" in result.err
