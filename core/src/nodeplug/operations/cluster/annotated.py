"""Devices that an annotation of the node takes out of service."""

import asyncio
import json
import logging
import zlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

from nodeplug.config.document import convert, parse_document
from nodeplug.host.calls import call
from nodeplug.host.files import remove_quietly, write_atomically
from nodeplug.kubelet.sockets import HOME
from nodeplug.meters.catalogue import CLUSTER_CALLS
from nodeplug.operations.cluster.courier import ACCOUNT
from nodeplug.operations.cluster.helper import last_line, start
from nodeplug.operations.cluster.node_names import is_node_name
from nodeplug.quarantine import QuarantineRule
from nodeplug.supervisor.agent import Agent
from nodeplug.supervisor.reload import without_value
from nodeplug.values.errors import ClusterError, ConfigError

_SHORTEST_PAUSE = 5.0
_LONGEST_PAUSE = 300.0
_DISK_SECONDS = 10.0
# The annotations of an object take 256 KiB at most, and a character up to six bytes here.
_LINE_LIMIT = 2 * 1024 * 1024

_log = logging.getLogger("nodeplug.cluster")


class AnnotatedQuarantine:
    """Follows one annotation and hands its rules to the agent.

    `problems` is where its value is wrong; the last good one stands meanwhile, and over a
    restart, whether or not the API server answers then.
    """

    def __init__(
        self, annotation: str, node: str, plugin_dir: Path, agent: Agent, account: Path = ACCOUNT
    ) -> None:
        self.problems: tuple[str, ...] = ()
        self._annotation = annotation
        self._node = node
        self._plugin_dir = plugin_dir
        self._agent = agent
        self._account = account

    async def run(self) -> None:
        """Follow until cancelled."""
        if not is_node_name(self._node):
            return
        pause = _SHORTEST_PAUSE
        while True:
            try:
                async with aclosing(self._values()) as values:
                    async for value in values:
                        pause = _SHORTEST_PAUSE
                        await self._take(value)
            except ClusterError as error:
                CLUSTER_CALLS.add("failed")
                if pause == _SHORTEST_PAUSE:
                    facts = {"annotation": self._annotation, "error": str(error)}
                    _log.error("annotation not followed", extra={"nodeplug": facts})
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _values(self) -> AsyncGenerator[str | None, None]:
        arguments = str(self._account), self._node, self._annotation
        process = await start("follower", *arguments, limit=_LINE_LIMIT)
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            async for line in process.stdout:
                yield json.loads(line)
            raise ClusterError(last_line(await process.stderr.read()))
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _take(self, value: str | None) -> None:
        try:
            rules = _parsed(value, self._annotation)
        except ConfigError as error:
            self.problems = (without_value(error),)
            _log.error("annotation refused", extra={"nodeplug": {"error": str(error)}})
            return
        self.problems = ()
        await self._agent.apply(self._agent.rules._replace(annotated=rules), {})
        _log.info("annotation taken over", extra={"nodeplug": {"rules": len(rules)}})
        file = _file(self._annotation, self._plugin_dir)
        await call(_keep, file, value, timeout=_DISK_SECONDS)


def recall(annotation: str, plugin_dir: Path) -> Sequence[QuarantineRule]:
    """Return what an earlier agent took over last."""
    try:
        return _parsed(_file(annotation, plugin_dir).read_text(), annotation)
    except (OSError, UnicodeDecodeError, ConfigError):
        return ()


def _parsed(value: str | None, annotation: str) -> Sequence[QuarantineRule]:
    origin = Path(f"annotation {annotation}")
    document = parse_document((value or "").encode(), origin)
    return convert([] if document is None else document, tuple[QuarantineRule, ...], origin)


def _keep(file: Path, value: str | None) -> None:
    try:
        if value is None:
            remove_quietly(file)
        elif not file.exists() or file.read_bytes() != value.encode():
            file.parent.mkdir(mode=0o700, exist_ok=True)
            write_atomically(file, value.encode())
    except OSError as error:
        _log.warning("annotation not kept", extra={"nodeplug": {"error": str(error)}})


def _file(annotation: str, plugin_dir: Path) -> Path:
    # Agents of one node may follow different annotations, whose keys are no file names.
    return plugin_dir / HOME / f"quarantine-{zlib.crc32(annotation.encode()):08x}"
