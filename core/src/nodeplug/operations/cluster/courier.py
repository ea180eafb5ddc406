"""Having calls made by a process of its own."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from nodeplug.meters.catalogue import CLUSTER_CALLS
from nodeplug.operations.cluster.helper import last_line, start
from nodeplug.values.errors import ClusterError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_SECONDS = 30.0
_GOOD = range(200, 300)


class Call(NamedTuple):
    """A request: method, path, body and its media type."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    type: str = "application/json"


class Reply(NamedTuple):
    """A status code, and what came with it."""

    status: int
    body: Mapping[str, Any]

    @property
    def good(self) -> bool:
        """Whether the call had its effect."""
        return self.status in _GOOD

    @property
    def message(self) -> str:
        """What the API server says of it, on one line."""
        return f"{self.status} {' '.join(str(self.body.get('message', '')).split())}".strip()


class Courier:
    """Makes calls with the rights of the service account in a folder, one batch after the other."""

    def __init__(self, account: Path = ACCOUNT) -> None:
        self._account = account
        self._busy = asyncio.Lock()

    async def send(self, calls: Sequence[Call]) -> list[Reply]:
        """Return the replies, in order. Raise ClusterError when the server cannot be reached."""
        try:
            async with self._busy:
                replies = await self._sent(calls)
        except ClusterError:
            CLUSTER_CALLS.add("failed")
            raise
        for reply in replies:
            CLUSTER_CALLS.add("accepted" if reply.good else "refused")
        return replies

    async def _sent(self, calls: Sequence[Call]) -> list[Reply]:
        process = await start("client", str(self._account))
        try:
            async with asyncio.timeout(_SECONDS):
                out, err = await process.communicate(_encoded(calls))
        except TimeoutError as error:
            raise ClusterError(f"no answer of the API server within {_SECONDS:.0f} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise ClusterError(last_line(err))
        try:
            return msgspec.json.decode(out, type=list[Reply])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ClusterError(f"the client's replies cannot be read: {error}") from error


def _encoded(calls: Sequence[Call]) -> bytes:
    shown = [{k: v for k, v in call._asdict().items() if v is not None} for call in calls]
    return msgspec.json.encode(shown)


def check(replies: Sequence[Reply]) -> None:
    """Raise ClusterError if a call was refused."""
    for reply in replies:
        if not reply.good:
            raise ClusterError(f"the API server refuses: {reply.message}")
