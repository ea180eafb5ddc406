"""Agents of one node tell each other what they have given, and outlive each other's faults."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubelets.kinds import Kind
from nodeplug.host.disk import Disk
from nodeplug.kubelet.evidence import CheckpointFile
from nodeplug.testing import AdmissionError
from support.backends_stage import Play, Running, backends_stage, custom, files
from support.command import environment
from support.timed import on_this_machine, timed

THING, TWIN = "example.com/thing", "example.com/twin"
FIRST, SECOND = custom(files(THING, "/dev/t*")), custom(files(TWIN, "/dev/u*"))
HOLDER = """
import signal, sys
from pathlib import Path
from nodeplug.host.ledger_files import Lock
assert Lock(Path(sys.argv[1]), "an agent that hangs").take()
print(flush=True)
signal.pause()
"""


def twins(play: Play) -> None:
    """Make two nodes of one number."""
    for name in ("t0", "u0"):
        play.node(f"/dev/{name}", 0)


def blind(play: Play) -> Running:
    """Start another agent, to which neither pod resources nor the checkpoint is readable."""
    nothing = play.directory.with_name("nothing")
    agent = play.start(SECOND, installation="two", pod_resources=nothing)
    agent.agent._usage._checkpoint = CheckpointFile(nothing, Disk("nothing"))
    return agent


async def test_what_one_agent_gives_another_one_refuses_by_the_ledger_alone(kind: Kind) -> None:
    """Whatever the kubelet does not tell, or not yet."""
    async with backends_stage(kind) as play:
        twins(play)
        play.start(FIRST)
        blind(play)
        await play.listed(THING, 1)
        await play.listed(TWIN, 1)
        await play.given(THING)
        await play.refuses(TWIN)


async def test_what_an_agent_has_given_that_has_ended_another_one_refuses(kind: Kind) -> None:
    """Its file tells of it still, also to who starts only then."""
    async with backends_stage(kind) as play:
        twins(play)
        first = play.start(FIRST)
        await play.listed(THING, 1)
        await play.given(THING)
        await first.stop()
        blind(play)
        await play.kubelet.until(lambda: bool(play.health(TWIN)))
        await play.refuses(TWIN)


@timed
async def test_a_lock_that_is_not_given_up_costs_an_allocation_half_a_second(kind: Kind) -> None:
    """The pod fails and says who is in the way; the next one starts as soon as that one is not."""
    async with backends_stage(kind) as play:
        twins(play)
        play.start(FIRST)
        await play.listed(THING, 1)
        with stopped_holder(play.ledger / "lock"):
            started = time.monotonic()
            with pytest.raises(AdmissionError, match="held by an agent that hangs"):
                await play.given(THING)
            assert 0.4 < time.monotonic() - started < on_this_machine(1.0)
        await play.given(THING)


@contextmanager
def stopped_holder(lock: Path) -> Iterator[None]:
    """Have a process hold a lock that was stopped, as by a debugger or a memory limit."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], env=environment(None), stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"\n"
        holder.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            holder.kill()


async def test_what_a_version_without_a_ledger_gave_is_not_given_again_by_the_next(
    kind: Kind,
) -> None:
    """An upgrade finds pods of which only the checkpoint tells, and gives once they have ended."""
    async with backends_stage(kind) as play:
        twins(play)
        elsewhere = play.directory.with_name("former")
        former = play.start(FIRST, ledger_dir=elsewhere)
        await play.listed(THING, 1)
        pod, _ = await play.given(THING)
        await former.stop()
        shutil.rmtree(elsewhere, ignore_errors=True)
        play.start(SECOND)
        await play.kubelet.until(lambda: bool(play.health(TWIN)))
        await play.refuses(TWIN)
        await play.kubelet.remove(pod)
        await play.listed(TWIN, 1)
        await play.given(TWIN)


async def test_what_a_rollback_left_in_the_ledger_holds_nothing_afterwards(kind: Kind) -> None:
    """The version before knows no ledger, so an entry may be older than the end of its pod."""
    async with backends_stage(kind) as play:
        twins(play)
        agent = play.start(FIRST)
        await play.listed(THING, 1)
        pod, _ = await play.given(THING)
        await agent.stop()
        former = play.start(FIRST, ledger_dir=play.directory.with_name("former"))
        await play.listed(THING, 1)
        await play.kubelet.remove(pod)
        await former.stop()
        play.start(SECOND)
        await play.listed(TWIN, 1)
        await play.given(TWIN)
