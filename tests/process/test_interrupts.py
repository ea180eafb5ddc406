"""Commands that end at an interrupt hear it in the background of a script, too."""

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from support.command import environment
from support.interrupts import IN_BACKGROUND


@pytest.mark.parametrize(
    "words",
    [
        ("simulate",),
        ("conformance", "--command", "sh -c 'sleep 60; true' {dir}", "--seconds", "60"),
    ],
    ids=lambda words: words[0],
)
def test_an_interrupt_ends_a_command_in_order(words: tuple[str, ...]) -> None:
    """What it has started ends with it, and its folder is gone."""
    with subprocess.Popen(
        (*IN_BACKGROUND, sys.executable, "-m", "nodeplug", *words),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(None),
    ) as running:
        try:
            started, folder = await_child(psutil.Process(running.pid))
            running.send_signal(signal.SIGINT)
            said = running.communicate()[1]
        finally:
            running.kill()
    assert (running.returncode, said.strip()) == (1, "Aborted!")
    assert not started.is_running()
    assert not folder.exists()


def await_child(process: psutil.Process) -> tuple[psutil.Process, Path]:
    """Return the first process that it starts, and the folder below /tmp that this is about."""
    while True:
        assert process.status() != psutil.STATUS_ZOMBIE
        for child in process.children():
            with suppress(psutil.Error):  # one that has ended since, as ldconfig does
                last = child.cmdline()[-1:]
                if last and last[0].startswith("/tmp/"):
                    return child, Path(*Path(last[0]).parts[:3])
