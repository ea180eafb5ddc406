"""Metrics and probes of an agent as a process; what happens to them leaves the agent alone."""

import asyncio
import os
import socket
import zlib

import psutil
import pytest

from nodeplug.simulate.agent_process import AgentProcess
from nodeplug.testing.patience import patience
from support.agent_node import node
from support.command import log_lines
from support.stage import BOARD
from support.watched import Watch, free_port

GOOD = {"name": "example.com/null", "devices": [{"path": "/dev/null", "type": "file"}]}


def watch_of(port: int) -> tuple[Watch, dict[str, object]]:
    return Watch(port), {"address": "127.0.0.1", "port": port}


def events(agent: AgentProcess) -> list[object]:
    return [line["event"] for line in log_lines(agent.log.read_text())]


async def test_an_agent_is_ready_once_all_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the port of the configuration."""
    watch, metrics = watch_of(free_port())
    async with node(monkeypatch, {"awkward": {}}, metrics=metrics) as play:
        await play.listed(BOARD, 4)
        await watch.until("/readyz", 200, "ok")
        assert (await watch.samples())["nodeplug_backend_up{backend=awkward}"] == 1


async def test_a_port_in_use_is_one_line_and_the_agent_serves_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Devices matter more than their metrics, which come once the port is free: an agent before."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        watch, metrics = watch_of(taken.getsockname()[1])
        async with node(monkeypatch, {"awkward": {}}, metrics=metrics) as play:
            await play.listed(BOARD, 4)
            assert events(play.agent).count("metrics cannot be served") == 1
            taken.close()
            await watch.open()
            await watch.until("/readyz", 200, "ok")
            assert events(play.agent).count("metrics cannot be served") == 1


async def test_a_wrong_entry_leaves_the_others_served_and_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At a start with nothing that worked before."""
    watch, metrics = watch_of(free_port())
    section = {"resources": [{"name": "wrong"}, GOOD]}
    async with node(monkeypatch, {"custom": section}, metrics=metrics) as play:
        await play.listed("example.com/null", 1)
        await watch.until("/readyz", 200, "backends.custom.resources[0]")


async def test_telling_the_api_server_loads_no_tls_into_the_agent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There is no API server: the agent serves on, and no library of TLS is mapped."""
    monkeypatch.setenv("NODE_NAME", "node-1")
    cluster = {"events": True, "condition": True}
    async with node(monkeypatch, {"awkward": {}}, cluster=cluster) as play:
        await play.listed(BOARD, 4)
        async with patience(20):
            while "API server not told" not in events(play.agent):  # noqa: ASYNC110 - a log file
                await asyncio.sleep(0.05)
        maps = {os.path.basename(m.path) for m in psutil.Process(play.agent.pid).memory_maps()}  # noqa: PTH119
        assert not [name for name in maps if "ssl" in name]


async def test_what_an_annotation_took_out_of_service_is_so_from_the_first_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No API server answers at this start."""
    monkeypatch.setenv("NODE_NAME", "node-1")
    cluster = {"quarantineAnnotation": "nodeplug.io/quarantine"}
    async with node(monkeypatch, {"awkward": {}}, cluster=cluster) as play:
        await play.listed(BOARD, 4)
        await play.agent.kill()
        kept = zlib.crc32(cluster["quarantineAnnotation"].encode())
        (play.agent.plugin_dir / f".nodeplug/quarantine-{kept:08x}").write_text(
            "[{devices: {id: awk-board-1}}]"
        )
        since = len(play.kubelet.journal.events)
        await play.agent.start()
        await play.listed(BOARD, 3)
        news = play.kubelet.journal.events[since:]
        assert len([e for e in news if (e.kind, e.resource) == ("list", BOARD)]) == 1
