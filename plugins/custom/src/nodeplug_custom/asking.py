"""The questions of probes: a program, a web server, a socket."""

import asyncio
import re
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from nodeplug.host.lane import Lane
from nodeplug_custom.commands import Command
from nodeplug_custom.matches import ProbeSettings
from nodeplug_custom.templates import fill

# A status line is far shorter; what comes without an end is none.
_STATUS_LIMIT = 256
_URL = re.compile(r"http://(?P<place>\[?(?P<host>.*?)\]?(:(?P<port>\d+))?)(?P<path>/.*)?")


class Names:
    """Looks up names of hosts. A name whose server is silent costs one thread, whoever asks."""

    def __init__(self) -> None:
        self._lanes: defaultdict[str, Lane] = defaultdict(Lane)

    async def addresses(self, host: str, seconds: float) -> list[str]:
        """Return the addresses of a host; raise OSError, or TimeoutError after so many seconds."""
        if _is_address(host):
            return [host]
        look_up = partial(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM)
        found = await self._lanes[host].call(look_up, timeout=seconds)
        return [str(place[0]) for *_, place in found]


class Question:
    """One probe of one device. Whatever hangs of it costs a thread, however often it is asked."""

    def __init__(self, probe: ProbeSettings, values: Mapping[str, str], names: Names) -> None:
        self._probe = probe
        self._values = values
        self._names = names
        self._lane = Lane()

    async def ask(self) -> str:
        """Return why the probe fails, or empty; nothing that is answered raises."""
        seconds = self._probe.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._ask(seconds)
        except TimeoutError:
            return f"no answer within {seconds:g} s"
        except OSError as error:
            return error.strerror or type(error).__name__
        except Exception as error:  # noqa: BLE001 - one failed probe, whatever it is
            return repr(error)

    async def _ask(self, seconds: float) -> str:
        if self._probe.http:
            return await self._get(fill(self._probe.http, self._values), seconds)
        if self._probe.socket:
            path = fill(self._probe.socket, self._values)
            await self._lane.call(_connect, path, seconds, timeout=seconds)
            return ""
        command = Command([fill(word, self._values) for word in self._probe.command])
        try:
            code = await self._lane.call(command.run, timeout=seconds)
        finally:
            command.end()
        return f"exit code {code}" if code else ""

    async def _get(self, url: str, seconds: float) -> str:
        found = _URL.fullmatch(url)
        assert found is not None
        addresses = await self._names.addresses(found["host"], seconds)
        async with _connected(addresses, int(found["port"] or 80)) as (reader, writer):
            request = f"GET {found['path'] or '/'} HTTP/1.0\r\nHost: {found['place']}\r\n\r\n"
            writer.write(request.encode())
            words = (await _first_line(reader)).split()
        status = words[1] if len(words) > 1 and words[1].isdigit() else "no answer of HTTP"
        return "" if status.startswith("2") and status.isdigit() else f"status {status}"


@asynccontextmanager
async def _connected(
    addresses: list[str], port: int
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    for number, address in enumerate(addresses, 1):
        try:
            reader, writer = await asyncio.open_connection(address, port)
            break
        except OSError:
            if number == len(addresses):
                raise
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _first_line(reader: asyncio.StreamReader) -> str:
    data = b""
    while b"\n" not in data and len(data) < _STATUS_LIMIT:
        if not (more := await reader.read(_STATUS_LIMIT)):
            break
        data += more
    return data.partition(b"\n")[0].decode(errors="replace")


def _connect(path: str, seconds: float) -> None:
    with socket.socket(socket.AF_UNIX) as own:
        own.settimeout(seconds)
        own.connect(path)


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False
