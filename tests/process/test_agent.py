"""The agent as a process: start, orderly end, sudden end, trouble in one part."""

import asyncio
import time

import pytest

from nodeplug.supervisor import backend_runner
from nodeplug.testing import Pod
from support.agent_node import node
from support.awkward.state import State, write_state
from support.command import log_lines
from support.stage import BOARD, stage
from support.timed import on_this_machine, timed

CUSTOM = "example.com/null"


@timed
async def test_sigterm_ends_the_agent_quickly_and_cleanly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 0 within two seconds, with no traceback."""
    async with node(monkeypatch, {"awkward": {}}) as play:
        await play.listed(BOARD, 4)
        started = time.monotonic()
        code = await play.agent.terminate()
        assert (code, time.monotonic() - started < on_this_machine(2.0)) == (0, True)
        lines = log_lines(play.agent.log.read_text())
        assert [line["event"] for line in lines][-1] == "stopped"
        assert not [line for line in lines if "traceback" in line]


@timed
async def test_sigterm_ends_the_agent_while_a_call_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a driver at the end."""
    async with node(monkeypatch, {"awkward": {}}) as play:
        write_state(play.host, State(hang=True))
        await play.listed(BOARD, 4)
        hanging = asyncio.create_task(play.kubelet.admit(Pod.of({BOARD: 1})))
        await play.kubelet.until(lambda: bool(play.kubelet.journal.of("allocate")))
        started = time.monotonic()
        code = await play.agent.terminate()
        assert (code, time.monotonic() - started < on_this_machine(2.0)) == (0, True)
        await asyncio.gather(hanging, return_exceptions=True)


async def test_a_killed_agent_is_replaced_by_the_next_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing that a dead process leaves stands in the way of the next."""
    async with node(monkeypatch, {"awkward": {}}) as play:
        await play.listed(BOARD, 4)
        await play.agent.kill()
        await play.listed(BOARD, 0)
        await play.agent.start()
        await play.listed(BOARD, 4)
        instances = list((play.agent.plugin_dir / ".nodeplug").glob("*/lock"))
        assert len(instances) == 2  # of resources and of the lease


async def test_a_broken_section_idles_its_backend_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one serves, the log names file and key."""
    async with node(monkeypatch, {"awkward": {}, "custom": {"resuorces": []}}) as play:
        await play.listed(BOARD, 4)
        lines = log_lines(play.agent.log.read_text())
        refused = [line for line in lines if line["event"] == "configuration section refused"]
        assert "backends.custom.resuorces: is not a known key" in str(refused[0]["error"])


async def test_a_crashing_backend_is_restarted_and_disturbs_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its last list stands meanwhile."""
    section = {"resources": [{"name": CUSTOM, "devices": [{"path": "/dev/null", "type": "file"}]}]}
    async with node(monkeypatch, {"awkward": {}, "custom": section}) as play:
        await play.listed(BOARD, 4)
        await play.listed(CUSTOM, 1)
        write_state(play.host, State(crash=True))
        write_state(play.host, State(sick=("awk-board-0",)))
        await play.listed(BOARD, 3)
        assert len(play.kubelet.journal.of("list", CUSTOM)) == 1


async def test_a_backend_that_stays_down_takes_its_devices_out_of_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last list stands for a time, then every device is Unhealthy; then all is well again."""
    monkeypatch.setattr(backend_runner, "STANDS_SECONDS", 0.2)
    async with stage() as play:
        play.set(State(crash=True))
        await play.listed(allocatable=0)
        play.set(State())
        await play.listed(allocatable=4)
