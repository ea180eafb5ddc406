"""A node of 10,000 devices with all operations on, on which everything happens at once."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from nodeplug.testing import AdmissionError, Pod
from support.agent_node import Node, node
from support.api_server import ApiServer, api_server
from support.hostile import KINDS, crowd
from support.memory_group import AnyGroup, memory_group
from support.needs import require
from support.repository import ROOT
from support.watched import Watch, free_port

DEVICES = 10_000
MANY, FEW = "example.com/many", "example.com/few"
_ANNOTATION = "nodeplug.io/quarantine"
_SECTION = {
    "resources": [
        {"name": MANY, "devices": [{"path": "/dev/many/d*", "type": "file"}]},
        {"name": FEW, "devices": [{"path": "/dev/few*", "type": "file"}]},
    ]
}
_RULES: list[dict[str, object]] = [
    {"resource": MANY, "policy": "aligned"},
    {"resource": FEW, "inject": "cdi", "replicas": 4},
]
_CLUSTER = {
    "events": True,
    "condition": True,
    "removeTaint": "nodeplug.io/starting",
    "quarantineAnnotation": _ANNOTATION,
}
# A quarantine, a bomb, nonsense.
_ANNOTATIONS = ("[{devices: {id: 'dev:many:d0*'}}]", "[" * 9999, "{")
_UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_CLIENTS = 20
_PAUSE_SECONDS = 0.1
_PATIENCE_SECONDS = 60.0
# The agent's token is where the kubelet mounts it, for it alone.
_MOUNT = """mount -t tmpfs none /run
mkdir -p /run/secrets/kubernetes.io/serviceaccount
mount --bind "$ACCOUNT" /run/secrets/kubernetes.io/serviceaccount
exec "$0" "$@"
"""


class Outcome(NamedTuple):
    """How many processes of the agent were killed, whether it serves still, and its memory.

    In bytes: the limit; the most that could not be had back; the most that was charged, cached
    files too.
    """

    kills: int
    serves: bool
    limit: int
    held: int
    charged: int


def chart_limit(chart: str) -> int:
    """Return how many bytes a backend's chart gives the agent."""
    values = yaml.safe_load((ROOT / f"helm/nodeplug/charts/{chart}/values.yaml").read_text())
    text = values["resources"]["limits"]["memory"]
    return int(text[:-2]) * _UNITS[text[-2:]]


async def withstand(folder: Path, rounds: int) -> Outcome:
    """Run an agent of `custom` within its chart's limit through so many rounds of everything."""
    limit, port, held = chart_limit("custom"), free_port(), [0]
    settings: dict[str, Any] = {
        "metrics": {"address": "127.0.0.1", "port": port, "perDevice": True, "pods": True},
        "cluster": _CLUSTER,
        "labels": {"enabled": True, "featureDir": str(folder)},
    }
    with (
        memory_group() as group,
        api_server(folder) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        group.limit(limit)
        before = [*_with_account(patch, server), *group.within()]
        async with node(patch, {"custom": _SECTION}, before, **settings) as play:
            works = partial(_pester, port), partial(_scrape, port), partial(_look, group, held)
            async with _beside(*works):
                await _furnish(play)
                for number in range(rounds):
                    await _round(play, server, number)
            assert server.calls, "the API server was told nothing"
            serves = play.agent.running and bool(await play.kubelet.admit(Pod.of({MANY: 1})))
            return Outcome(group.kills, serves, limit, max(held), group.peak)


def _with_account(patch: pytest.MonkeyPatch, server: ApiServer) -> list[str]:
    """Return what to put before a command that is to talk to the server as a pod does."""
    environment = {**server.environment, "NODE_NAME": "node-1", "ACCOUNT": str(server.account)}
    for name, value in environment.items():
        patch.setenv(name, value)
    words = ["unshare", "--mount", "--propagation", "private"]
    require(shutil.which("unshare") is not None, "unshare is missing")
    probe = subprocess.run([*words, "true"], check=False, capture_output=True)
    require(probe.returncode == 0, "a mount namespace of our own needs root")
    return [*words, "sh", "-ec", _MOUNT]


@asynccontextmanager
async def _beside(*works: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Do each work over and over as long as the block takes; end none of them half-way."""
    ended = asyncio.Event()

    async def repeat(work: Callable[[], Awaitable[None]]) -> None:
        while not ended.is_set():
            await work()
            await asyncio.sleep(_PAUSE_SECONDS)

    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(repeat(work))
        yield
        ended.set()


async def _furnish(play: Node) -> None:
    many = play.host.dev / "many"
    many.mkdir()
    for number in range(DEVICES):
        (many / f"d{number:05}").touch()
    for number in range(4):
        (play.host.dev / f"few{number}").touch()
    await _listed(play, DEVICES)


async def _round(play: Node, server: ApiServer, number: int) -> None:
    """Give devices, change the configuration, take all devices away and bring them back."""
    many = play.host.dev / "many"
    away = many.with_name("away")
    play.agent.offer(_RULES if number % 2 else [])
    pods = [Pod.of({MANY: 8}) for _ in range(4)]
    for pod in pods:
        with suppress(AdmissionError):  # the list is changing
            await play.kubelet.admit(pod)
    server.annotate(**{_ANNOTATION: _ANNOTATIONS[number % len(_ANNOTATIONS)]})
    many.rename(away)
    await _listed(play, 0)
    if number % 3 == 1:
        await play.kubelet.restart()
    away.rename(many)
    server.annotate(**{_ANNOTATION: None})
    await _listed(play, DEVICES)
    for pod in pods:
        await play.kubelet.remove(pod)


async def _listed(play: Node, count: int) -> None:
    def holds() -> bool:
        assert play.agent.running, "the agent has ended"
        capacity = play.kubelet.capacity(MANY)
        return capacity is not None and capacity.allocatable == count

    await play.kubelet.until(holds, _PATIENCE_SECONDS)


async def _pester(port: int) -> None:
    for kind in KINDS:
        with suppress(OSError):
            async with crowd(port, kind, _CLIENTS):
                await asyncio.sleep(_PAUSE_SECONDS)


async def _scrape(port: int) -> None:
    """Ask as monitoring and the kubelet do."""
    for path in ("/metrics", "/readyz", "/healthz"):
        with suppress(OSError, IndexError):  # cut off, for so many ask
            await Watch(port).get(path)


async def _look(group: AnyGroup, held: list[int]) -> None:
    held.append(group.held)
