"""The plugin under judgement: started by us, or running already."""

import asyncio
import os
import shlex
import signal
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress
from pathlib import Path

from nodeplug.config.settings import PLUGIN_DIR, PLUGIN_REGISTRY
from nodeplug.conformance.namespace import in_namespace
from nodeplug.conformance.subject import DIR, REGISTRY, Places
from nodeplug.testing.patience import in_time

# Whoever does not end by then is killed by a kubelet, which gives 30 s, or by us.
END_SECONDS = 10.0


class PluginProcess:
    """A command in a process group of its own, so that nothing of it outlives the judgement.

    Where its words hold neither `{dir}` nor `{registry}`, the directories are bound over the
    kubelet's own paths in a mount namespace of the plugin's; that needs root.
    """

    def __init__(self, command: str, places: Places, log: Path) -> None:
        words = shlex.split(command)
        self._places = places
        self._log = log
        self._process: Process | None = None
        if names_places(command):
            self.words = [places.fill(word) for word in words]
        else:
            bound = {PLUGIN_DIR: places.directory, PLUGIN_REGISTRY: places.registry}
            self.words = in_namespace(words, bound)

    async def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.words,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment(self._places),
            )

    @property
    def pid(self) -> int:
        """The process id of the plugin that was started last."""
        assert self._process is not None
        return self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code of a process that has ended."""
        return self._process.returncode if self._process else None

    async def terminate(self) -> bool:
        """Send SIGTERM; return whether it ended in time."""
        assert self._process is not None
        self._signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with in_time(END_SECONDS):
                await self._process.wait()
                return True
        return False

    async def kill(self) -> None:
        """End it and all that it has started."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            await self._process.wait()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def names_places(command: str) -> bool:
    """Whether a command says where the plugin is told of the kubelet's directories."""
    return DIR in command or REGISTRY in command


def environment(places: Places) -> dict[str, str]:
    """Return the environment of what is started beside the kubelet."""
    return os.environ | {"NODEPLUG_CONFORMANCE_DIR": str(places.directory)}
