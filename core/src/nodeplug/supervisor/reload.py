"""Taking over configuration files that change while the agent runs."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from nodeplug.config.load import Configuration
from nodeplug.host.calls import call
from nodeplug.host.files import stamp
from nodeplug.host.steady_watch import SteadyWatch
from nodeplug.meters.catalogue import RELOADS
from nodeplug.supervisor.agent import Agent
from nodeplug.values.errors import ConfigError

# Editors and the kubelet's ConfigMap exchange touch several names one after the other.
_SETTLE_SECONDS = 0.1
_READ_SECONDS = 10.0
# A ConfigMap's files change by an exchange of this link beside them.
_CONFIG_MAP_LINK = "..data"

_log = logging.getLogger("nodeplug.config")


class ReloadReport(NamedTuple):
    """Where the configuration was wrong last, and when it was read, since the epoch.

    Anybody may be shown the problems: they tell no values, which stand in the log.
    """

    problems: tuple[str, ...]
    at: float


class Reloader:
    """Reads the files again when they change or when asked to, and hands what is valid on.

    A file that is wrong as a whole changes nothing; a section that is wrong leaves its backend as
    it is. `files` come with their stamps from before they were read for the agent's start,
    `problems` are those of that configuration.
    """

    def __init__(
        self,
        files: Mapping[Path, object],
        load: Callable[[], Configuration],
        agent: Agent,
        problems: Sequence[Exception] = (),
    ) -> None:
        self.asked = asyncio.Event()
        self.report = ReloadReport(tuple(map(without_value, problems)), time.time())
        self._files = files
        self._load = load
        self._agent = agent

    async def run(self) -> None:
        """Watch until cancelled."""
        async with SteadyWatch("the configuration") as changes, asyncio.TaskGroup() as tasks:
            paths = [file.absolute() for file in self._files]
            for folder in {path.parent for path in paths}:
                names = {path.name for path in paths if path.parent == folder}
                changes.add(folder, frozenset({*names, _CONFIG_MAP_LINK}), written=True)
            if any(stamp(file) != before for file, before in self._files.items()):
                self.asked.set()
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
            self._note([error])
            return
        self._note(configuration.errors)
        agent = configuration.agent
        # What another plugin's file says of offers belongs to its section: both or none.
        rules = self._agent.rules
        if configuration.whole:
            rules = rules._replace(offers=agent.offers, quarantine=agent.quarantine)
        changed = await self._agent.apply(rules, configuration.valid)
        if changed:
            _log.info("configuration reloaded", extra={"nodeplug": {"changed": changed}})

    def _note(self, errors: Sequence[Exception]) -> None:
        self.report = ReloadReport(tuple(map(without_value, errors)), time.time())
        RELOADS.add("refused" if errors else "accepted")
        for error in errors:
            _log.error("reload refused", extra={"nodeplug": {"error": str(error)}})


def without_value(error: Exception) -> str:
    """Return where a configuration is wrong."""
    place = error.place if isinstance(error, ConfigError) else ""
    return f"{place or 'somewhere'}: wrong; the agent's log says how"
