"""The two plugins that are compared, each under an embedded kubelet of its own, in one process."""

import asyncio
import math
import os
import signal
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

from benchmarks.node import custom_section, open_node
from nodeplug.conformance.checks_lists import answers_before_it_registers
from nodeplug.conformance.stage import Stage, opened, pause
from nodeplug.conformance.subject import Places, Subject
from nodeplug.conformance.verdicts import Broken
from nodeplug.loader import load
from nodeplug.testing import Profile

# In so long a plugin that has listed something has listed everything.
_QUIET_SECONDS = 2.0
_COMMAND_SECONDS = 60.0

# Does something to a device and returns when it began.
Act = Callable[[], Awaitable[float]]


class Runs(Protocol):
    """A process that serves devices."""

    @property
    def pid(self) -> int: ...
    async def start(self) -> None: ...
    async def terminate(self) -> object: ...
    async def kill(self) -> None: ...


class Side:
    """One plugin, its kubelet, and how to change one of its devices and undo that, or None.

    What it lists when it is `settled` is its complete list from then on. Times are seconds; one
    that would be longer than the stage's patience is infinite.
    """

    def __init__(self, stage: Stage, process: Runs, change: Act | None, undo: Act | None) -> None:
        self.stage = stage
        self.process = process
        self.change = change
        self.undo = undo
        self.complete: dict[str, int] = {}

    async def settle(self) -> None:
        """Wait for the complete list; raise Broken if nothing registers or lists."""
        await answers_before_it_registers(self.stage)
        await self.stage.settled()
        await pause(_QUIET_SECONDS)
        self.complete = self._listed()

    async def start(self) -> float:
        """Start the process anew; return how long it takes to list everything."""
        await self.process.terminate()
        await self.process.kill()
        started = time.monotonic()
        await self.process.start()
        return await self._is_complete(started)

    async def recover(self) -> float:
        """Restart the kubelet; return how long after its socket is there it has everything."""
        kubelet = self.stage.kubelet
        await kubelet.stop()
        await kubelet.start()
        seconds = await self._is_complete(kubelet.journal.of("start")[-1].at)
        if math.isinf(seconds):
            await self.start()
        return seconds

    async def alter(self, act: Act) -> float:
        """Do something to a device; return how long it takes until the list is another one."""
        before = self._table()
        return await self._reached(lambda: self._table() != before, await act())

    async def _is_complete(self, since: float) -> float:
        def holds() -> bool:
            return self._listed() == self.complete and min(self._lists()) >= since

        return await self._reached(holds, since)

    async def _reached(self, holds: Callable[[], bool], since: float) -> float:
        try:
            await self.stage.kubelet.until(holds, self.stage.patience)
        except TimeoutError:
            return math.inf
        return max(self._lists()) - since

    def _listed(self) -> dict[str, int]:
        return {name: len(self.stage.healthy(name)) for name in self.stage.resources}

    def _table(self) -> list[dict[str, str]]:
        return [self.stage.kubelet.devices(name) for name in self.complete]

    def _lists(self) -> list[float]:
        """Return when each resource was listed last."""
        journal = self.stage.kubelet.journal
        return [journal.of("list", name)[-1].at for name in self.complete]


@asynccontextmanager
async def theirs(
    command: str, patience: float, change: str, undo: str
) -> AsyncGenerator[Side, None]:
    """Run any plugin's command; in the end nothing of it is left."""
    async with opened(Subject(command, patience=patience), Profile.V1_36) as stage:
        assert stage.plugin is not None
        acts = [_shell(stage.places.fill(act)) if act else None for act in (change, undo)]
        side = Side(stage, stage.plugin, *acts)
        await side.settle()
        yield side


@asynccontextmanager
async def ours(backend: str, patience: float) -> AsyncGenerator[Side, None]:
    """Run a backend on its simulator; `custom` on four files."""
    sections = custom_section() if backend == "custom" else {backend: {}}
    async with open_node(sections) as node:
        device = node.agent.host_root / "dev/bench0"
        change, undo = _called(device.unlink), _called(device.touch)
        if backend != "custom":
            simulator = load(backend).simulator(node.agent.host_root)
            sections[backend] = simulator.settings
            node.agent.offer([])
            change, undo = _called(simulator.lose), _called(simulator.recover)
        directory = node.kubelet.directory
        places, subject = Places(directory, directory), Subject(patience=patience)
        stage = Stage(subject, directory, node.kubelet, Profile.V1_36, places)
        side = Side(stage, node.agent, change, undo)
        await node.agent.start()
        await side.settle()
        yield side


def _called(function: Callable[[], object]) -> Act:
    def timed() -> float:
        started = time.monotonic()
        function()
        return started

    return partial(asyncio.to_thread, timed)


def _shell(command: str) -> Act:
    """Let a shell do it; that it starts is not in the time."""
    script = f"echo; read -r _; exec </dev/null >/dev/null; {command}"

    async def act() -> float:
        process = await asyncio.create_subprocess_shell(
            script, stdin=PIPE, stdout=PIPE, start_new_session=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_COMMAND_SECONDS):
                await process.stdout.readline()
                started = time.monotonic()
                process.stdin.write(b"\n")
                await process.wait()
        except (TimeoutError, asyncio.CancelledError):
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            raise
        if process.returncode:
            raise Broken(f"{command!r} ends with code {process.returncode}")
        return started

    return act
