"""A web server for three pages. It answers GET and HEAD and closes the connection."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

_REQUEST_LIMIT = 8192
_REQUEST_SECONDS = 5.0
_CONNECTIONS_LIMIT = 16
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
        self._open = 0

    async def run(self, address: str, port: int) -> None:
        """Serve until cancelled. Raise OSError when the port cannot be had."""
        server = await asyncio.start_server(
            self._connected, address or None, port, limit=_REQUEST_LIMIT
        )
        async with server:
            where = [":".join(map(str, each.getsockname()[:2])) for each in server.sockets]
            _log.info("serving metrics", extra={"nodeplug": {"addresses": where}})
            await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= _CONNECTIONS_LIMIT:
                await self._answer(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            self._open -= 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_REQUEST_SECONDS):
            request = await reader.readuntil(b"\r\n\r\n")
        first, *rest = request.decode("latin-1").rstrip().split("\r\n")
        method, _, target = first.partition(" ")
        answer = await self._page(method, target.split(" ")[0].split("?")[0], _headers(rest))
        head = (
            f"HTTP/1.1 {answer.status} {_STATUS[answer.status]}\r\n"
            f"Content-Type: {answer.content_type}\r\n"
            f"Content-Length: {len(answer.body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        writer.write(head.encode() + (b"" if method == "HEAD" else answer.body))
        async with asyncio.timeout(_REQUEST_SECONDS):
            await writer.drain()

    async def _page(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        if not path.startswith("/"):
            return Answer(400, b"not a request of HTTP\n")
        if method not in {"GET", "HEAD"}:
            return Answer(405, b"only GET and HEAD\n")
        if path not in self._pages:
            return Answer(404, f"there are {', '.join(self._pages)}\n".encode())
        try:
            return await self._pages[path](headers)
        except Exception as error:  # noqa: BLE001 - answered with 500
            _log.exception("page failed", extra={"nodeplug": {"path": path}})
            return Answer(500, f"{type(error).__name__}\n".encode())


def _headers(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
