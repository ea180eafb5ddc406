"""The agent as a process of its own, as in production."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from pathlib import Path

from nodeplug.host.files import write_atomically

# A sound agent leaves within milliseconds; a hung one must not hang its parent.
_STOP_SECONDS = 10.0


class AgentProcess:
    """`nodeplug run` below a folder: simulated host, kubelet directory, configuration, log.

    `sections` are the backends' configurations, `settings` what else the configuration says,
    `before` a command that takes another one. It may be started again after it has ended.
    """

    def __init__(self, folder: Path, sections: Mapping[str, Mapping[str, object]]) -> None:
        self.host_root = folder / "host"
        self.plugin_dir = folder / "dp"
        self.pod_resources = folder / "pod-resources.sock"
        self.log = folder / "agent.log"
        self.config = folder / "nodeplug.yaml"
        self.before: Sequence[str] = ()
        self._process: Process | None = None
        for directory in (self.host_root, self.plugin_dir):
            directory.mkdir(exist_ok=True)
        self.sections = sections
        self._host = {"root": str(self.host_root), "uevents": str(self.host_root / "uevents.sock")}
        self.settings: Mapping[str, object] = {"metrics": {"enabled": False}}
        self.offer([])

    @property
    def pid(self) -> int:
        """The process id of the running agent."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the agent was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the agent; return at once."""
        backends = [part for name in self.sections for part in ("--backend", name)]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(*self.before, sys.executable, "-m", "nodeplug", "run"),
                *(*backends, "--config", str(self.config)),
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )

    async def terminate(self) -> int:
        """Send SIGTERM and return the exit code."""
        assert self._process is not None
        self._process.terminate()
        async with asyncio.timeout(_STOP_SECONDS):
            return await self._process.wait()

    async def kill(self) -> None:
        """Send SIGKILL, if it still runs, and wait for the end."""
        if self._process is not None and self.running:
            self._process.kill()
            await self._process.wait()

    def use_real_host(self) -> None:
        """Let the next start serve this machine's own devices."""
        self._host = {}
        self.offer([])

    def offer(self, rules: Sequence[Mapping[str, object]]) -> None:
        """Rewrite the configuration with these rules; a running agent takes them over."""
        kubelet = {
            "devicePluginDir": str(self.plugin_dir),
            "podResourcesSocket": str(self.pod_resources),
        }
        content = {
            "kubelet": kubelet,
            "host": {**self._host, "ledgerDir": str(self.plugin_dir.with_name("ledger"))},
            **self.settings,
            "cdi": {"specDir": str(self.plugin_dir.with_name("cdi"))},
            "offers": list(rules),
            "backends": self.sections,
        }
        write_atomically(self.config, json.dumps(content).encode())
