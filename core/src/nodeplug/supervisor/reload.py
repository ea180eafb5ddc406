"""Taking over configuration files that change while the agent runs."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from nodeplug.config.load import Configuration
from nodeplug.config.settings import AgentSettings
from nodeplug.host.calls import call
from nodeplug.host.files import stamp
from nodeplug.host.steady_watch import SteadyWatch
from nodeplug.meters.catalogue import RELOADS
from nodeplug.supervisor.agent import Agent
from nodeplug.values.errors import ConfigError
from nodeplug.values.trouble import Trouble

# Editors and the kubelet's ConfigMap exchange touch several names one after the other.
_SETTLE_SECONDS = 0.1
_READ_SECONDS = 10.0
# A ConfigMap's files change by an exchange of this link beside them.
_CONFIG_MAP_LINK = "..data"
# What a running agent does not change; offers, quarantine and sections it does.
_AT_START = ("kubelet", "host", "cdi", "log", "metrics", "cluster", "labels")

_log = logging.getLogger("nodeplug.config")


class ReloadReport(NamedTuple):
    """What of the configuration is not in force, and when it was read last, since the epoch."""

    troubles: tuple[Trouble, ...]
    at: float


def refusal(error: Exception) -> Trouble:
    """Return that a part of a configuration is refused."""
    place = error.place if isinstance(error, ConfigError) else ""
    shown = f"configuration: {f'{place}: ' if place else ''}refused, what worked last stays"
    return Trouble("ConfigurationRefused", shown, str(error) or repr(error), "configuration")


async def changed(files: Mapping[Path, object]) -> None:
    """Return when a file is not any more the one that has this stamp."""
    async with SteadyWatch("the configuration") as changes:
        _watch(changes, files)
        news = aiter(changes)
        while not _differ(files):
            await anext(news)
    await asyncio.sleep(_SETTLE_SECONDS)


def _watch(changes: SteadyWatch, files: Collection[Path]) -> None:
    paths = [file.absolute() for file in files]
    for folder in {path.parent for path in paths}:
        names = {path.name for path in paths if path.parent == folder}
        changes.add(folder, frozenset({*names, _CONFIG_MAP_LINK}), written=True)


def _differ(files: Mapping[Path, object]) -> bool:
    return any(stamp(file) != before for file, before in files.items())


class Reloader:
    """Reads the files again when they change or when asked to, and hands what is valid on.

    A file that is wrong as a whole changes nothing; a section that is wrong leaves its backend as
    it is. `files` come with their stamps from before they were read for the agent's start,
    `problems` are those of that configuration; `standing` is what no file can mend.
    """

    def __init__(
        self,
        files: Mapping[Path, object],
        load: Callable[[], Configuration],
        agent: Agent,
        problems: Sequence[Exception] = (),
        standing: Sequence[Trouble] = (),
    ) -> None:
        self.asked = asyncio.Event()
        self._standing = standing
        self.report = ReloadReport((*standing, *map(refusal, problems)), time.time())
        self._files = files
        self._load = load
        self._agent = agent

    async def run(self) -> None:
        """Watch until cancelled."""
        async with SteadyWatch("the configuration") as changes, asyncio.TaskGroup() as tasks:
            _watch(changes, self._files)
            if _differ(self._files):
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
        except Exception as error:  # noqa: BLE001 - no file may end the agent
            self._note([error])
            return
        agent = configuration.agent
        self._note(configuration.errors, _waiting(agent, self._agent.settings))
        # What another plugin's file says of offers belongs to its section: both or none.
        rules = self._agent.rules
        if configuration.whole:
            rules = rules._replace(offers=agent.offers, quarantine=agent.quarantine)
        changed = await self._agent.apply(rules, configuration.valid)
        if changed:
            _log.info("configuration reloaded", extra={"nodeplug": {"changed": changed}})

    def _note(self, errors: Sequence[Exception], waiting: Sequence[Trouble] = ()) -> None:
        refused = [refusal(error) for error in errors]
        self.report = ReloadReport((*self._standing, *refused, *waiting), time.time())
        RELOADS.add("refused" if errors else "accepted")
        for each in refused:
            _log.error("reload refused", extra={"nodeplug": {"error": each.detail}})
        for each in waiting:
            _log.warning("not in force yet", extra={"nodeplug": {"what": each.shown}})


def _waiting(read: AgentSettings, running: AgentSettings) -> list[Trouble]:
    """Return what of the agent's settings holds from its next start on."""
    keys = [key for key in _AT_START if getattr(read, key) != getattr(running, key)]
    if not keys:
        return []
    shown = f"configuration: {', '.join(keys)}: changed, in force after a restart of the agent"
    return [Trouble("RestartNeeded", shown, "", "configuration")]
