"""A disk under the kubelet's directory that does not answer."""

import asyncio
import logging
import os

import pytest

from kubelets.kinds import Kind
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
