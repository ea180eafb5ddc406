"""The agent as a process whose host is a tree: /sys is the tree's, the network its own."""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from nodeplug.testing import Kubelet
from support.mounts import can_mount_in_namespace
from support.needs import require
from support.sriov_host import FakeHost
from support.sriov_stage import Play

# Root, but without a single capability, as in a container that drops all of them.
_POWERLESS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
_START = """
set -e
mount -t tmpfs none /run
mount --rbind "$0/sys" /sys
ip link set lo up
ip link add ens1 index 100 type veth peer name far-ens1
ip link set ens1 up
ip link set far-ens1 up
cat /proc/$$/stat > "$1"
shift
exec "$@"
"""


class AgentNode(Play):
    def __init__(self, kubelet: Kubelet, fake: FakeHost, process: Process, began: Path) -> None:
        super().__init__(kubelet, fake, began.parent / "cdi")
        self.pid = process.pid
        self._began = began

    async def ip(self, *arguments: str) -> None:
        """Configure the network that the agent is in."""
        command = ("nsenter", "--net", f"--target={self.pid}", "ip", *arguments)
        done = await (await asyncio.create_subprocess_exec(*command)).wait()
        assert done == 0

    def resident_kib(self) -> int:
        """Return the agent's resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def cpu_seconds(self) -> float:
        """Return the time that the agent, and the interpreter before it, have computed."""
        return _cpu_seconds(Path(f"/proc/{self.pid}/stat")) - _cpu_seconds(self._began)


@asynccontextmanager
async def running(fake: FakeHost, section: dict[str, Any]) -> AsyncIterator[AgentNode]:
    """Run the agent as root without capabilities; `ens1` is a real link of index 100."""
    tools = all(map(shutil.which, ("unshare", "nsenter", "setpriv", "ip")))
    require(tools, "unshare, nsenter, setpriv or ip is missing")
    require(can_mount_in_namespace(), "a mount namespace of our own needs root")
    folder = Path(tempfile.mkdtemp(prefix="np", dir="/tmp"))
    (folder / "dp").mkdir()
    config = folder / "nodeplug.json"
    config.write_text(json.dumps(_configuration(folder, section)))
    agent = (sys.executable, "-m", "nodeplug", "run", "--backend=sriov_net", f"--config={config}")
    start = (
        "unshare",
        "--net",
        "--mount",
        "sh",
        "-c",
        _START,
        str(fake.folder),
        str(folder / "began"),
    )
    async with Kubelet(folder / "dp", pod_resources=folder / "pr.sock") as kubelet:
        process = await asyncio.create_subprocess_exec(*start, *_POWERLESS, *agent)
        try:
            yield AgentNode(kubelet, fake, process, folder / "began")
        finally:
            process.terminate()
            await process.wait()
            shutil.rmtree(folder)


def _cpu_seconds(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def _configuration(folder: Path, section: dict[str, Any]) -> dict[str, Any]:
    return {
        "kubelet": {
            "devicePluginDir": str(folder / "dp"),
            "podResourcesSocket": str(folder / "pr.sock"),
        },
        "host": {"ledgerDir": ""},
        "metrics": {"enabled": False},
        "cdi": {"specDir": str(folder / "cdi")},
        "backends": {"sriov_net": section},
    }
