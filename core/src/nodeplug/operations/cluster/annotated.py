"""Devices that an annotation of the node takes out of service."""

import asyncio
import logging
import time
import zlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nodeplug.config.document import Limits, convert, parse_document
from nodeplug.host.calls import call
from nodeplug.host.fallbacks import fall_back, recover
from nodeplug.host.files import remove_quietly, write_atomically
from nodeplug.host.lane import Lane
from nodeplug.kubelet.sockets import HOME
from nodeplug.meters.catalogue import CLUSTER_CALLS
from nodeplug.operations.cluster.courier import ACCOUNT
from nodeplug.operations.cluster.helper import last_line, start
from nodeplug.operations.cluster.node_names import is_node_name
from nodeplug.quarantine import QuarantineRule
from nodeplug.supervisor.agent import Agent
from nodeplug.supervisor.reload import refusal
from nodeplug.values.errors import ClusterError, ConfigError

if TYPE_CHECKING:
    from nodeplug.values.trouble import Trouble

_SHORTEST_PAUSE = 5.0
_LONGEST_PAUSE = 300.0
_DISK_SECONDS = 10.0
_PARSE_SECONDS = 10.0
# A process that ran for so long had nothing wrong with it from the start.
_SOUND_SECONDS = 60.0
# A hundred rules. Who may annotate a node shall take devices out of service, and nothing else.
_LIMITS = Limits(size=16 * 1024, values=500, depth=8)
# A character takes up to twelve bytes in JSON.
_LINE_LIMIT = 16 * _LIMITS.size

_WHAT = "annotation of the node"

_log = logging.getLogger("nodeplug.cluster")


class AnnotatedQuarantine:
    """Follows one annotation and hands its rules to the agent.

    `problems` is where its value is wrong; the last good one stands meanwhile, and over a
    restart, whether or not the API server answers then.
    """

    def __init__(
        self, annotation: str, node: str, plugin_dir: Path, agent: Agent, account: Path = ACCOUNT
    ) -> None:
        self.problems: tuple[Trouble, ...] = ()
        self._annotation = annotation
        self._node = node
        self._plugin_dir = plugin_dir
        self._agent = agent
        self._account = account
        self._refused: str | None = None
        self._disk = Lane()

    async def run(self) -> None:
        """Follow until cancelled."""
        if not is_node_name(self._node):
            return
        pause = _SHORTEST_PAUSE
        while True:
            started = time.monotonic()
            try:
                async with aclosing(self._values()) as values:
                    async for value in values:
                        recover(_WHAT)
                        await self._take(value)
            except ClusterError as error:
                CLUSTER_CALLS.add("failed")
                if time.monotonic() - started > _SOUND_SECONDS:
                    pause = _SHORTEST_PAUSE
                if pause == _SHORTEST_PAUSE:
                    fall_back(_WHAT, "annotation not followed", str(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _values(self) -> AsyncGenerator[str | None, None]:
        limit = str(_LIMITS.size)
        arguments = str(self._account), self._node, self._annotation, limit
        process = await start("follower", *arguments, limit=_LINE_LIMIT)
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            async for line in process.stdout:
                yield msgspec.json.decode(line, type=str | None)
            raise ClusterError(last_line(await process.stderr.read()))
        except ValueError as error:  # neither a line nor JSON
            raise ClusterError(f"what it says cannot be read: {error}") from error
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _take(self, value: str | None) -> None:
        try:
            rules = await call(_parsed, value, self._annotation, timeout=_PARSE_SECONDS)
        except (RuntimeError, TimeoutError) as error:
            raise ClusterError(f"its value could not be looked at: {error}") from error
        except Exception as error:  # noqa: BLE001 - whatever a value is, it costs a line
            self._refuse(value, error)
            return
        self.problems = ()
        self._refused = None
        await self._agent.apply(self._agent.rules._replace(annotated=rules), {})
        _log.info("annotation taken over", extra={"nodeplug": {"rules": len(rules)}})
        try:
            file = _file(self._annotation, self._plugin_dir)
            await self._disk.call(_keep, file, value, timeout=_DISK_SECONDS)
        except (OSError, RuntimeError) as error:
            fall_back("annotation", "not kept for another start", repr(error))
        else:
            recover("annotation")

    def _refuse(self, value: str | None, error: Exception) -> None:
        """Let what holds hold on; the same value, told once more by another process, is no news."""
        self.problems = (refusal(error),)
        if value != self._refused:
            self._refused = value
            text = str(error) if isinstance(error, ConfigError) else repr(error)
            _log.error("annotation refused", extra={"nodeplug": {"error": text}})


def recall(annotation: str, plugin_dir: Path) -> Sequence[QuarantineRule]:
    """Return what an earlier agent took over last."""
    try:
        with _file(annotation, plugin_dir).open("rb") as file:
            return read_rules(file.read(_LIMITS.size + 1), annotation)
    except (OSError, ConfigError):
        return ()


def _parsed(value: str | None, annotation: str) -> Sequence[QuarantineRule]:
    return read_rules((value or "").encode(), annotation)


def read_rules(data: bytes, annotation: str) -> Sequence[QuarantineRule]:
    """Return what the value of an annotation says, nothing if it is empty. Raise ConfigError."""
    origin = Path(f"annotation {annotation}")
    document = parse_document(data, origin, _LIMITS)
    return convert([] if document is None else document, tuple[QuarantineRule, ...], origin)


def _keep(file: Path, value: str | None) -> None:
    if value is None:
        remove_quietly(file)
    elif not file.exists() or file.read_bytes() != value.encode():
        file.parent.mkdir(mode=0o700, exist_ok=True)
        write_atomically(file, value.encode())


def _file(annotation: str, plugin_dir: Path) -> Path:
    # Agents of one node may follow different annotations, whose keys are no file names.
    return plugin_dir / HOME / f"quarantine-{zlib.crc32(annotation.encode()):08x}"
