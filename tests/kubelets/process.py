"""One process of the Go program that runs the kubelet's own device manager."""

import asyncio
import itertools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import msgspec


class Listed(msgspec.Struct, frozen=True):
    """A device as its plugin listed it."""

    health: str
    topology: bool
    nodes: tuple[int, ...]


class State(msgspec.Struct, frozen=True):
    """What can be seen of the kubelet at a moment.

    `node` has capacity and allocatable by resource, `listed` the devices by resource and id,
    `in_use` the ids taken for given out by resource, `pods` those that containers have by pod's
    uid, container and resource.
    """

    node: dict[str, tuple[int, int]] = {}
    listed: dict[str, dict[str, Listed]] = {}
    in_use: dict[str, list[str]] = msgspec.field(name="inUse", default_factory=dict)
    pods: dict[str, dict[str, dict[str, list[str]]]] = {}


class Message(msgspec.Struct, frozen=True):
    """A line of the program: an answer to a command, or an event with a text of its log."""

    event: str
    id: int = 0
    text: str = ""
    error: str = ""
    values: dict[str, Any] = {}
    answer: Any = None
    state: State | None = None


class CommandError(Exception):
    """A command that the kubelet could not carry out; the text is the kubelet's."""


class DiedError(Exception):
    """The kubelet ended by itself; the text is the end of what it said."""


class KubeletProcess:
    """A process with commands in and messages out, until killed."""

    def __init__(
        self, program: Path, directory: Path, on_message: Callable[[Message], None]
    ) -> None:
        self._command = (str(program), str(directory))
        self._on_message = on_message
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._said: IO[bytes] | None = None

    async def start(self) -> None:
        """Start the process; it does nothing before the first command."""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._said,
            limit=1 << 26,
        )
        self._reading = asyncio.create_task(self._read())

    def send(self, do: str, **fields: Any) -> asyncio.Future[Message]:
        """Give a command and return what will have its answer."""
        assert self._process is not None
        assert self._process.stdin is not None
        number = next(self._numbers)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        line = json.dumps({"id": number, "do": do, **fields}) + "\n"
        self._process.stdin.write(line.encode())
        return answer

    async def ask(self, do: str, **fields: Any) -> Any:
        """Give a command and return its answer; raise CommandError or DiedError."""
        message = await self.send(do, **fields)
        if message.error:
            raise CommandError(message.error)
        return message.answer

    async def kill(self) -> None:
        """Kill the process and wait until nothing of it is left."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()
        assert self._reading is not None
        # The inner process has the same output; it ends with the outer one. Whoever ends a test
        # that hangs cancels the reader, too.
        await asyncio.wait([self._reading])
        assert self._said is not None
        self._said.close()
        if not self._reading.cancelled():
            self._reading.result()

    async def _read(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        async for line in process.stdout:
            message = msgspec.json.decode(line, type=Message)
            self._on_message(message)
            if message.event == "answer":
                self._answers.pop(message.id).set_result(message)
        error = DiedError(self._last_words())
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(error)
                answer.exception()  # nobody may be waiting for it
        if self._process is not None:
            self._on_message(Message("died", error=str(error)))

    def _last_words(self) -> str:
        assert self._said is not None
        self._said.seek(0)
        return self._said.read().decode(errors="replace")[-4000:]
