"""A disk under the kubelet's directory that does not answer."""

import asyncio
import fcntl
import logging
import os
import threading
from pathlib import Path

import pytest

from kubelets.kinds import Kind
from nodeplug.host import disk
from nodeplug.host.disk import Disk
from nodeplug.host.files import FileLock
from nodeplug.kubelet.lock import ResourceLock
from nodeplug.kubelet.sockets import HOME
from nodeplug.supervisor import agent
from nodeplug.supervisor.installation import file_name
from support.awkward.state import State
from support.stage import stage


async def test_settings_that_cannot_be_kept_end_no_backend(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It has begun well, and goes on."""
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(agent, "DISK_SECONDS", 0.2)
    async with stage(agents=0, kind=kind) as play:
        kept = play.directory / HOME / "last-good" / f"{file_name('')}.json"
        kept.parent.mkdir(parents=True)
        os.mkfifo(kept)  # whoever reads it waits for ever
        play.start_agent()
        while "not kept for another start" not in caplog.text and "failed" not in caplog.text:  # noqa: ASYNC110 - a log has no events
            await asyncio.sleep(0.01)
        play.set(State(boards=5))
        await play.listed(allocatable=5)
    assert "backend failed" not in caplog.text


async def test_a_lock_that_is_got_too_late_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its resource was given up while the disk hung: another instance may serve it."""
    monkeypatch.setattr(disk, "_SECONDS", 0.05)
    answers, lock = threading.Event(), fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        answers.wait()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    ours = ResourceLock(tmp_path, "example.com/thing", Disk("test"), "an agent")
    with pytest.raises(TimeoutError):
        await ours.acquire()
    await ours.release()
    answers.set()
    async with asyncio.timeout(60):
        while not await ours.lost():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0)
    assert FileLock(tmp_path / HOME / "locks/example.com/thing").try_acquire()
