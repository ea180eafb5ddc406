"""Taking over configuration files that change while the agent runs."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from nodeplug.config.load import Configuration
from nodeplug.host.calls import call
from nodeplug.host.watch import PathWatch
from nodeplug.supervisor.agent import Agent, Rules
from nodeplug.values.errors import ConfigError

# Editors and the kubelet's ConfigMap exchange touch several names one after the other.
_SETTLE_SECONDS = 0.1
_READ_SECONDS = 10.0

_log = logging.getLogger("nodeplug.config")


class Reloader:
    """Reads the files again when they change or when asked to, and hands what is valid on.

    A file that is wrong as a whole changes nothing; a section that is wrong leaves its backend as
    it is.
    """

    def __init__(
        self, files: Sequence[Path], load: Callable[[], Configuration], agent: Agent
    ) -> None:
        self.asked = asyncio.Event()
        self._files = files
        self._load = load
        self._agent = agent

    async def run(self) -> None:
        """Watch until cancelled."""
        async with PathWatch() as changes, asyncio.TaskGroup() as tasks:
            # A ConfigMap's files change by an exchange of the link `..data` beside them.
            for folder in {file.absolute().parent for file in self._files}:
                changes.add(folder)
            tasks.create_task(self._reload_when_asked())
            async for _ in changes:
                self.asked.set()

    async def _reload_when_asked(self) -> None:
        while True:
            await self.asked.wait()
            await asyncio.sleep(_SETTLE_SECONDS)
            self.asked.clear()
            await self._reload()

    async def _reload(self) -> None:
        try:
            configuration = await call(self._load, timeout=_READ_SECONDS)
        except (ConfigError, TimeoutError) as error:
            _refuse(error)
            return
        for broken in configuration.errors:
            _refuse(broken)
        agent = configuration.agent
        changed = await self._agent.apply(
            Rules(agent.offers, agent.quarantine), configuration.valid
        )
        if changed:
            _log.info("configuration reloaded", extra={"nodeplug": {"changed": changed}})


def _refuse(error: Exception) -> None:
    _log.error("reload refused", extra={"nodeplug": {"error": str(error)}})
