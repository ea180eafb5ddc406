"""What a probe meets costs one failed probe, never the probing, the agent or its end."""

import asyncio
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from nodeplug_custom.asking import Names, Question
from nodeplug_custom.commands import Command
from nodeplug_custom.matches import ProbeSettings
from support.namespaces import in_own_processes
from support.needs import require
from support.slow_files import SlowFiles, can_serve_files

FOREVER = 1000


def question(names: Names | None = None, seconds: float = 5, **how: Any) -> Question:
    settings = ProbeSettings(timeout_seconds=seconds, **how)
    return Question(settings, {"id": "x"}, names or Names())


@asynccontextmanager
async def server(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any],
) -> AsyncIterator[str]:
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/x"


async def test_an_answer_without_a_line_is_one_failed_probe() -> None:
    """However long it is; the next question is asked."""
    answers = iter([b"x" * 200_000, b"HTTP/1.0 200 OK\r\n\r\n"])

    def serve(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(next(answers))
        writer.close()

    async with server(serve) as url:
        asked = question(http=url)
        assert [await asked.ask(), await asked.ask()] == ["status no answer of HTTP", ""]


async def test_an_answer_without_an_end_is_not_waited_for() -> None:
    """Nor is it read further than any status line goes."""

    async def serve(_: object, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(bytes(10_000))
            await asyncio.sleep(0)

    async with server(serve) as url:
        assert await question(seconds=60, http=url).ask() == "status no answer of HTTP"


async def test_a_host_that_cannot_be_named_is_one_failed_probe() -> None:
    """Whatever the look-up raises."""
    assert "encod" in await question(http=f"http://{'a' * 300}/x").ask()


async def test_an_address_may_be_given_without_a_port() -> None:
    """In brackets, where it has colons itself."""
    answer = await question(http="http://[::1]").ask()
    assert answer in {"", "Connect call failed ('::1', 80, 0, 0)"}


async def test_a_name_server_that_is_silent_costs_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many devices ask for the name, and however often."""
    gate = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: gate.wait())
    names = Names()
    asked = [question(names, 0.01, http="http://slow.example/x") for _ in range(20)]
    before = threading.active_count()
    for _ in range(2):
        answers = [await each.ask() for each in asked]
    assert set(answers) == {"no answer within 0.01 s"}
    assert threading.active_count() == before + 1
    gate.set()


LEAVES = """
import asyncio, socket, threading
socket.getaddrinfo = lambda *_, **__: threading.Event().wait()
from nodeplug_custom.asking import Names, Question
from nodeplug_custom.matches import ProbeSettings
settings = ProbeSettings(http="http://slow.example/x", timeout_seconds=0.01)
asyncio.run(Question(settings, {}, Names()).ask())
"""


def test_the_end_of_the_process_does_not_wait_for_a_name() -> None:
    """The kubelet waits for the agent when a node is shut down."""
    subprocess.run([sys.executable, "-c", LEAVES], check=True)


async def gone(file: Path) -> None:
    """Wait until the process that a file names is no more."""
    pid = int(file.read_text())
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110 - it is not ours
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("after", ["wait", "exit 0"], ids=["late", "well"])
async def test_nothing_that_a_command_has_started_outlives_it(tmp_path: Path, after: str) -> None:
    """Whether it took too long or left something behind."""
    file = tmp_path / "pid"
    script = f"sleep {FOREVER} & echo $! > {file}.new; mv {file}.new {file}; {after}"
    asked = question(seconds=5, command=("sh", "-c", script))
    task = asyncio.create_task(asked.ask())
    while not file.exists():  # noqa: ASYNC110 - it comes from a program
        await asyncio.sleep(0.01)
    if after == "wait":
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await gone(file)


async def test_a_command_that_takes_too_long_is_ended_and_asked_again(tmp_path: Path) -> None:
    """The next one has its chance."""
    mark = tmp_path / "mark"
    script = f"[ -e {mark} ] && exit 0; touch {mark}; sleep {FOREVER}"
    asked = question(seconds=1, command=("sh", "-c", script))
    assert [await asked.ask(), await asked.ask()] == ["no answer within 1 s", ""]


def test_a_command_that_was_given_up_before_it_began_is_ended() -> None:
    """Its program may be on a disk that takes its time."""
    command = Command(["sleep", str(FOREVER)])
    command.end()
    assert command.run() < 0


async def test_a_socket_on_a_disk_that_hangs_holds_up_nothing(tmp_path: Path) -> None:
    """It costs a thread, however often it is asked for, and is well when it answers."""
    require(can_serve_files(), "a file system that hangs needs root and /dev/fuse")
    with SlowFiles(tmp_path, "socket", mode=stat.S_IFSOCK | 0o600) as files:
        files.hang()
        release = threading.Timer(30, files.go_on)
        release.start()
        asked = question(seconds=0.1, socket=str(tmp_path / "socket"))
        answers = [await asked.ask()]
        before = threading.active_count()
        answers += [await asked.ask() for _ in range(10)]
        assert set(answers) == {"no answer within 0.1 s"}
        assert threading.active_count() == before
        release.cancel()


AS_PROCESS_1 = """
import os
from pathlib import Path
from nodeplug_custom.commands import Command
assert os.getpid() == 1
for _ in range(5):
    Command(["sh", "-c", "(sleep 1000 & sleep 1000) & exit 0"]).run()
print([each.name for each in Path("/proc").iterdir() if each.name.isdigit()])
"""


def test_process_1_keeps_nothing_of_what_its_commands_have_started() -> None:
    """No zombie: it is the agent that inherits them."""
    command = [*in_own_processes(), sys.executable, "-c", AS_PROCESS_1]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "['1']\n"
