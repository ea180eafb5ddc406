"""Whoever reaches the port can neither silence nor fill the agent."""

import asyncio
import errno
import socket
import tracemalloc
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import psutil
import pytest

from nodeplug.operations import http
from nodeplug.operations.http import Answer, Page, PageServer
from nodeplug.operations.shared import Shared
from nodeplug.testing.patience import patience
from support import hostile
from support.hostile import Client, crowd
from support.watched import Watch, exchange, free_port

# More than the listener's backlog, and more than find a place beside each other.
MANY = 300
_FEW = 8
HUGE = b"x" * 5_000_000
FINE = b"HTTP/1.1 200 OK"
HEALTHZ = b"GET /healthz HTTP/1.1\r\n\r\n"


async def fine(_: Mapping[str, str]) -> Answer:
    return Answer(200, b"ok\n")


async def huge(_: Mapping[str, str]) -> Answer:
    return Answer(200, HUGE)


@asynccontextmanager
async def serving(**pages: Page) -> AsyncGenerator[int, None]:
    """Serve pages, /healthz among them, and give the port."""
    port = free_port()
    paths = {f"/{name}": page for name, page in {"healthz": fine, **pages}.items()}
    task = asyncio.create_task(PageServer(paths).run("127.0.0.1", port))
    try:
        await Watch(port).open()
        yield port
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def connections(port: int) -> int:
    """Return how many connections the server has."""
    own = psutil.Process().net_connections("tcp4")
    return sum(each.laddr.port == port and each.status != psutil.CONN_LISTEN for each in own)


async def until_left(port: int) -> None:
    """Wait until the server has no connection any more."""
    async with patience(20):
        while connections(port):  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("kind", hostile.KINDS, ids=lambda kind: kind.__name__)
async def test_liveness_is_answered_whoever_else_is_there(kind: Client) -> None:
    """The kubelet would end the agent."""
    async with serving(metrics=huge) as port, crowd(port, kind, MANY):
        assert (await exchange(port, HEALTHZ)).startswith(FINE)


async def test_liveness_is_answered_where_descriptors_run_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The oldest go for it at once: a pause for each of them would take longer than a probe has."""
    monkeypatch.setattr(http, "_PAUSE_SECONDS", 1000)
    loop = asyncio.get_running_loop()
    accept = loop.sock_accept

    async def few(listener: socket.socket) -> Any:
        if connections(listener.getsockname()[1]) > _FEW:
            raise OSError(errno.EMFILE, "Too many open files")
        return await accept(listener)

    monkeypatch.setattr(loop, "sock_accept", few)
    async with serving() as port, crowd(port, hostile.KINDS[0], 100):
        assert (await exchange(port, HEALTHZ)).startswith(FINE)


@pytest.mark.parametrize("kind", hostile.KINDS, ids=lambda kind: kind.__name__)
async def test_a_page_is_had_whoever_else_is_there(kind: Client) -> None:
    """Also a long one, which takes more than one turn."""
    async with serving(metrics=huge) as port, crowd(port, kind, MANY):
        answer = await exchange(port, b"GET /metrics HTTP/1.1\r\n\r\n")
        assert answer.endswith(HUGE)


@pytest.mark.parametrize("kind", hostile.KINDS, ids=lambda kind: kind.__name__)
async def test_nothing_is_kept_of_clients_that_stay(
    kind: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs a descriptor and memory of the kernel, for a while only."""
    monkeypatch.setattr(http, "_SECONDS", 0.2)
    async with serving(metrics=huge) as port, crowd(port, kind, 30):
        await until_left(port)


async def test_a_page_is_in_memory_once_however_many_do_not_read_it() -> None:
    """An agent has some 40 MiB."""
    async with serving(metrics=huge) as port:
        tracemalloc.start()
        try:
            async with crowd(port, hostile.deaf, 50):
                assert (await exchange(port, HEALTHZ)).startswith(FINE)
                _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < len(HUGE) / 2


async def test_the_kernel_keeps_little_for_each_client() -> None:
    """What it keeps counts as the agent's memory in its control group."""
    async with serving(metrics=huge) as port, crowd(port, hostile.deaf, 1) as [client]:
        assert (await exchange(port, HEALTHZ)).startswith(FINE)
        sent, taken = 0, 0
        for each in psutil.Process().net_connections("tcp4"):
            if each.laddr.port == port and each.status == psutil.CONN_ESTABLISHED:
                with socket.socket(fileno=socket.dup(each.fd)) as own:
                    sent = own.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
                    taken = own.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        assert 0 < sent <= 128 * 1024
        assert 0 < taken <= 16 * 1024
        assert client.fileno() > 0


@pytest.mark.parametrize("kind", [hostile.silent, hostile.deaf], ids=lambda kind: kind.__name__)
async def test_the_end_waits_for_no_client(kind: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod has ten seconds to end."""
    monkeypatch.setattr(http, "_SECONDS", 1000)
    async with patience(10), serving(metrics=huge) as port, crowd(port, kind, 5):
        assert (await exchange(port, HEALTHZ)).startswith(FINE)


async def test_a_page_that_fails_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """However often somebody asks for it."""

    async def broken(_: Mapping[str, str]) -> Answer:
        raise ValueError("no such thing")

    async with serving(metrics=broken) as port:
        for _ in range(3):
            answer = await exchange(port, b"GET /metrics HTTP/1.1\r\n\r\n")
            assert answer.split()[1] == b"500"
    assert [record.message for record in caplog.records].count("page failed") == 1


async def test_what_many_ask_for_is_made_once() -> None:
    """For all who come while it is made, and for some time after."""
    made, go_on = 0, asyncio.Event()

    async def make() -> int:
        nonlocal made
        made += 1
        await go_on.wait()
        return made

    shared = Shared(make, seconds=0.05)
    asking = [asyncio.create_task(shared.get()) for _ in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()
    go_on.set()
    assert await asyncio.gather(*asking[1:]) == [1] * 19
    assert await shared.get() == 1
    async with patience(5):
        while await shared.get() == 1:  # noqa: ASYNC110 - it stands for some time
            await asyncio.sleep(0.01)
