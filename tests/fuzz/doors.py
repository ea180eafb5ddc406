"""Where the agent can be reached: its HTTP port, the node's annotation, its helper processes."""

import asyncio
import random
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

from fuzz.bitstreams import mutated
from fuzz.engine import Feed, refusal
from nodeplug.operations.cluster.annotated import read_rules
from nodeplug.operations.cluster.courier import Call, Courier
from nodeplug.operations.http import Answer, PageServer
from nodeplug.quarantine import isolate
from nodeplug.values.device import Device
from nodeplug.values.errors import ClusterError, ConfigError
from nodeplug.values.inventory import Inventory
from support.bombs import BOMBS
from support.limited import with_memory

_GET = b"GET /metrics HTTP/1.1\r\nHost: node\r\nAccept: text/plain\r\nUser-Agent: x\r\n\r\n"
_REQUESTS = (_GET, b"HEAD /healthz?verbose HTTP/1.0\r\n\r\n", b"POST /readyz HTTP/1.1\r\n\r\nbody")
_PAGE = b"x" * 200_000
_ANSWER_SECONDS = 10.0
_DEVICES = Inventory.of([Device(id=f"dev-{n}", resource="example.com/a") for n in range(20)])
_KEY = "nodeplug.io/quarantine"
_RULES = b"""\
- devices: {id: dev-1, numa: [0, '!1'], memory: '>=40'}
  reason: &why fan is loud
- {devices: {model: A100*}, reason: *why}
"""
# Python's own start takes some 15 MiB, TLS some more.
_MOST_KIBIBYTES = 40_000
# A process is started and ends; how soon is up to what else the machine does.
HELPER_SECONDS = 60.0


def requests(dice: random.Random) -> Iterator[bytes]:
    """Yield requests that are nearly right."""
    while True:
        yield mutated(dice.choice(_REQUESTS), dice)


@contextmanager
def a_server() -> Iterator[Feed]:
    """Send each to a server, which answers it or cuts it off, and answers the next."""
    with _running() as port:

        def feed(data: bytes) -> str:
            said = _exchange(port, data)
            assert _exchange(port, b"GET /healthz HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\nok\n")
            return said.partition(b"\r\n")[0].decode("latin-1") or "cut off"

        yield feed


@contextmanager
def _running() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    loop = asyncio.new_event_loop()
    server = loop.create_task(_serve(port))

    def work() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(server)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        _wait_for(port)
        yield port
    finally:
        loop.call_soon_threadsafe(server.cancel)
        thread.join()
        loop.close()


async def _serve(port: int) -> None:
    async def page(_: Mapping[str, str]) -> Answer:
        return Answer(200, _PAGE)

    async def fine(_: Mapping[str, str]) -> Answer:
        return Answer(200, b"ok\n")

    pages = {"/metrics": page, "/healthz": fine, "/readyz": fine}
    await PageServer(pages).run("127.0.0.1", port)


def _wait_for(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), _ANSWER_SECONDS).close()
        except ConnectionRefusedError:
            continue
        return


def _exchange(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), _ANSWER_SECONDS) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = bytearray()
        try:
            while part := client.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
        return bytes(answer)


def annotations(dice: random.Random) -> Iterator[bytes]:
    """Yield values of the quarantine annotation that are nearly right, and bombs likewise."""
    samples = [_RULES, *(bomb.encode(errors="backslashreplace") for bomb in BOMBS.values())]
    while True:
        yield mutated(_RULES, dice)
        yield mutated(dice.choice(samples), dice)


def annotation(data: bytes) -> str:
    """Read a value, and judge devices by it."""
    try:
        rules = read_rules(data, _KEY)
    except ConfigError as error:
        return refusal(ConfigError(str(error).removeprefix(f"annotation {_KEY}: ")))
    isolate(_DEVICES, rules)
    return f"{len(rules)} rules"


def memories(dice: random.Random) -> Iterator[bytes]:
    """Yield how many KiB a helper may have."""
    while True:
        yield str(dice.randrange(1, _MOST_KIBIBYTES)).encode()


@contextmanager
def a_helper() -> Iterator[Feed]:
    """Have a call made by a helper with so much memory: it fails, and with one line."""
    with tempfile.TemporaryDirectory() as folder:

        def feed(data: bytes) -> str:
            python = with_memory(int(data), Path(folder))
            with mock.patch.object(sys, "executable", python):
                try:
                    asyncio.run(Courier(Path("/nowhere")).send([Call("GET", "/")]))
                except ClusterError as error:
                    return refusal(error)
            raise AssertionError("a call without an account")

        yield feed
