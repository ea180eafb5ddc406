"""A web server for three pages. It answers GET and HEAD and closes the connection.

Anybody may reach its port. So there is a bound to the clients and to what the kernel and this
process keep for each, and a client that does not ask, or does not read, gives way to the next.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import NamedTuple

from nodeplug.operations.lanes import Lane

# Those who have not asked yet, or get little: so many that a probe, which asks as it connects, is
# answered before as many others have come.
_ASKING = 128
_LITTLE = 16 * 1024
# Those who get more.
_READING = 16
_REQUEST_LIMIT = 8192
_SECONDS = 5.0
# What the kernel keeps for a client, in bytes: memory of the agent's control group, as ours is.
_SEND_BUFFER = 64 * 1024
_RECEIVE_BUFFER = 8 * 1024
_BACKLOG = 128
# What a client may say after its request, in parts of so many bytes.
_PART = 16 * 1024
_PARTS = 16
_PAUSE_SECONDS = 0.1
# Linger for no time: what the client has not read is dropped at once (socket(7)).
_AT_ONCE = struct.pack("ii", 1, 0)
_STATUS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    503: "Service Unavailable",
}

_log = logging.getLogger("nodeplug.http")


class Answer(NamedTuple):
    """What a page answers: a status code, a body, its type."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Page = Callable[[Mapping[str, str]], Awaitable[Answer]]


class PageServer:
    """Serves pages by path. A page is called with the request's headers, names in lower case."""

    def __init__(self, pages: Mapping[str, Page]) -> None:
        self._pages = pages
        self._failing: dict[str, str] = {}
        self._open = Lane(_ASKING)
        self._reading = Lane(_READING)

    async def run(
        self, address: str, port: int, serving: Callable[[], None] = lambda: None
    ) -> None:
        """Serve until cancelled, from when `serving` is called.

        Raise OSError when the port cannot be had.
        """
        listeners = await _listen(address, port)
        serving()
        try:
            where = [":".join(map(str, each.getsockname()[:2])) for each in listeners]
            _log.info("serving metrics", extra={"nodeplug": {"addresses": where}})
            async with asyncio.TaskGroup() as tasks:
                for listener in listeners:
                    tasks.create_task(self._accept(listener, tasks))
        finally:
            for listener in listeners:
                listener.close()

    async def _accept(self, listener: socket.socket, tasks: asyncio.TaskGroup) -> None:
        while True:
            try:
                client, _ = await asyncio.get_running_loop().sock_accept(listener)
            except OSError:  # no descriptor is left
                await self._make_room()
                continue
            tasks.create_task(self._serve(client)).add_done_callback(partial(_close, client))
            await asyncio.sleep(0)  # all others have a turn before the next

    async def _make_room(self) -> None:
        """Let the oldest go, and whoever comes have its descriptor at once."""
        leaving = self._open.make_room()
        if leaving is None:
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            await asyncio.wait({leaving})

    async def _serve(self, client: socket.socket) -> bool:
        """Return whether the client has taken all that there was for it."""
        try:
            with self._open.place():
                head, body = await self._reply(await _request(client))
                if len(body) <= _LITTLE:
                    return await _hand_over(client, head, body)
            with self._reading.place():
                return await _hand_over(client, head, body)
        except (OSError, TimeoutError):
            return False

    async def _reply(self, request: bytes) -> tuple[bytes, bytes]:
        first, *rest = request.decode("latin-1").rstrip().split("\r\n")
        method, _, target = first.partition(" ")
        answer = await self._page(method, target.split(" ")[0].split("?")[0], _headers(rest))
        head = (
            f"HTTP/1.1 {answer.status} {_STATUS[answer.status]}\r\n"
            f"Content-Type: {answer.content_type}\r\n"
            f"Content-Length: {len(answer.body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        return head.encode(), b"" if method == "HEAD" else answer.body

    async def _page(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        if not path.startswith("/"):
            return Answer(400, b"not a request of HTTP\n")
        if method not in {"GET", "HEAD"}:
            return Answer(405, b"only GET and HEAD\n")
        if path not in self._pages:
            return Answer(404, f"there are {', '.join(self._pages)}\n".encode())
        try:
            answer = await self._pages[path](headers)
        except Exception as error:  # noqa: BLE001 - answered with 500
            self._tell(path, error)
            return Answer(500, f"{type(error).__name__}\n".encode())
        self._failing.pop(path, None)
        return answer

    def _tell(self, path: str, error: Exception) -> None:
        """Log why a page fails, once however often it is asked for."""
        if self._failing.get(path) != repr(error):
            self._failing[path] = repr(error)
            _log.error("page failed", extra={"nodeplug": {"path": path}}, exc_info=error)


async def _listen(address: str, port: int) -> list[socket.socket]:
    """Return a socket for each address of that name, or of this host where it is empty."""
    bound = await asyncio.get_running_loop().create_server(
        asyncio.Protocol, address or None, port, start_serving=False
    )
    listeners = [each.dup() for each in bound.sockets]
    bound.close()
    for listener in listeners:
        # Each connection has these from its listener.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        listener.listen(_BACKLOG)
    return listeners


async def _request(client: socket.socket) -> bytes:
    """Return the head of a request, or what was sent in its place until the limit."""
    data = b""
    async with asyncio.timeout(_SECONDS):
        while b"\r\n\r\n" not in data and len(data) < _REQUEST_LIMIT:
            part = await asyncio.get_running_loop().sock_recv(client, _REQUEST_LIMIT)
            if not part:
                raise ConnectionResetError("the client has gone")
            data += part
    return data


async def _hand_over(client: socket.socket, head: bytes, body: bytes) -> bool:
    """Send, and wait until the client has taken it and gone; return whether it did."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_SECONDS):
        await loop.sock_sendall(client, head)
        await loop.sock_sendall(client, body)
        client.shutdown(socket.SHUT_WR)
        for _ in range(_PARTS):
            if not await loop.sock_recv(client, _PART):
                return True
            await asyncio.sleep(0)
    return False


def _close(client: socket.socket, served: "asyncio.Task[bool]") -> None:
    """End a connection; of one that was broken off, the kernel keeps nothing either."""
    if served.cancelled() or not served.result():
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    client.close()


def _headers(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
