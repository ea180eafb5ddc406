"""This tree is measured beside an earlier commit."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from support.interrupts import IN_BACKGROUND
from support.needs import require
from support.repository import ROOT

QUICK = (sys.executable, "-m", "benchmarks.against", "--quick")
CELL = r" +-?[\d.]+ (?:us|ms|MiB|%) +-?[\d.]+ (?:us|ms|MiB|%) +[+-]?[\d.]+ +[+-]?[\d.]+ ±[\d.]+"
ROW = re.compile(rf"(\S.*?){CELL} +(?:-|<= \+?([\d.]+))(  BROKEN)?")


@pytest.fixture(autouse=True)
def _needs() -> None:
    """Device nodes with numbers of their own, and a commit."""
    require(os.geteuid() == 0, "making device nodes needs root")
    require(shutil.which("git") is not None and (ROOT / ".git").exists(), "this is no git clone")


@pytest.mark.timeout(90)
def test_every_figure_is_beside_that_of_the_commit() -> None:
    """With the noise and the promise; a broken one is told by the exit code, too."""
    done = subprocess.run([*QUICK, "HEAD"], cwd=ROOT, check=False, capture_output=True, text=True)
    assert (done.returncode in {0, 1}, done.stderr) == (True, "")
    head, *lines = done.stdout.splitlines()
    assert head.split() == ["FIGURE", "BEFORE", "NOW", "RATIO", "A/A", "PROMISE"]
    rows = [ROW.fullmatch(line) for line in lines]
    promises = [row[2] if row else "no row" for row in rows]
    allocate = ["1.05", "1.05", None, None]
    assert promises == ["0.5", *allocate, *allocate, "1.1", None, "1.1", None, None, None]
    assert done.returncode == any(row[3] for row in rows if row)


@pytest.mark.timeout(60)
def test_a_commit_that_is_none_is_one_line() -> None:
    """On standard error; the exit code is 1."""
    done = subprocess.run(
        [*QUICK, "no-such-commit"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"Error: .*no-such-commit.*\n", done.stderr)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGINT, 1), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
def test_nothing_is_left_of_a_run_that_is_ended(how: signal.Signals, code: int) -> None:
    """No worktree, no agent, no folder."""
    with subprocess.Popen(
        (*IN_BACKGROUND, *QUICK[:-1], "--only", "alone", "HEAD"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as running:
        try:
            assert running.stdout is not None
            running.stdout.readline()
            agents, folders = await_agents(psutil.Process(running.pid))
            running.send_signal(how)
            assert running.wait() == code
        finally:
            running.kill()
    assert not [agent for agent in agents if agent.is_running()]
    assert not [folder for folder in folders if folder.exists()]
    words = ("git", "-c", f"safe.directory={ROOT}", "worktree", "list")
    listed = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert not [folder for folder in folders if str(folder) in listed]


def await_agents(process: psutil.Process) -> tuple[list[psutil.Process], set[Path]]:
    """Return the first agent of a run, with the folders that the run has made so far."""
    while not (agents := [each for each in process.children() if "nodeplug" in each.cmdline()]):
        assert process.is_running()
    paths = agents[0].environ()["PYTHONPATH"].split(":")
    folders = {Path(*Path(path).parts[:3]) for path in [*paths, agents[0].cwd()]}
    return agents, {folder for folder in folders if folder.name.startswith("np")}
