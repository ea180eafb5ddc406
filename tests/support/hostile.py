"""Clients of an HTTP port that mean no good: each connects and does one thing."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

Client = Callable[[socket.socket], None]

# More than any server keeps of a request.
_ENDLESS = b"x" * 100_000
_PAGE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def silent(_: socket.socket) -> None:
    """Say nothing, and stay."""


def halting(client: socket.socket) -> None:
    """Begin to ask, and stay."""
    client.send(b"GET /healthz HTTP/1.1\r\nHost:")


def deaf(client: socket.socket) -> None:
    """Ask for a page, and never read it."""
    client.send(_PAGE)


def greedy(client: socket.socket) -> None:
    """Ask for a page many times, and never read."""
    client.send(_PAGE * 100)


def endless(client: socket.socket) -> None:
    """Send without an end of the request."""
    client.send(_ENDLESS)


def garbled(client: socket.socket) -> None:
    """Speak another protocol."""
    client.send(b"\x16\x03\x01\0\xff\r\n\r\n\0")


def fleeting(client: socket.socket) -> None:
    """Ask, and break off at once."""
    client.send(_PAGE)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()


KINDS: tuple[Client, ...] = (silent, halting, deaf, greedy, endless, garbled, fleeting)


def connected(port: int, act: Client) -> socket.socket:
    """Return a connection on which one has acted so; the kernel makes it, whoever listens."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    client.settimeout(60)
    try:
        client.connect(("127.0.0.1", port))
    except OSError:
        client.close()
        raise
    client.setblocking(False)
    with suppress(OSError):
        act(client)
    return client


@asynccontextmanager
async def crowd(port: int, act: Client, number: int) -> AsyncGenerator[list[socket.socket], None]:
    """Have so many clients of a kind."""
    clients: list[socket.socket] = []

    def come() -> None:
        clients.extend(connected(port, act) for _ in range(number))

    try:
        await asyncio.to_thread(come)
        yield clients
    finally:
        for client in clients:
            client.close()
