"""Sources of nodeplug that agents can be started from: an earlier commit's, and those of now."""

import compileall
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[1]
# What an agent runs from, and the backend of ten thousand devices.
_SOURCES = ("core/src", "plugins/*/src", "tests/support")
_ASK = """
import nodeplug
from nodeplug.config.settings import HostSettings
print(nodeplug.__path__[0], "ledger_dir" in HostSettings.__struct_fields__)
"""


class NoTreeError(Exception):
    """The tree cannot be had, or what is installed takes its place."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder with sources; whether its agents share a ledger on a node."""

    folder: Path
    knows_ledger: bool

    def environment(self, *more: Path) -> dict[str, str]:
        """Return the environment of a process that imports from here and from `more`."""
        return _environment(self.folder, *more)


@contextmanager
def earlier(commit: str) -> Iterator[Tree]:
    """Check a commit out into a worktree of its own, which goes again."""
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    with _folder() as folder:
        place = folder / "old"
        _git("worktree", "add", "--detach", "--quiet", str(place), commit)
        try:
            yield _ready(place)
        finally:
            _git("worktree", "remove", "--force", str(place))


@contextmanager
def working() -> Iterator[Tree]:
    """Copy the sources as they are now: whoever works on them meanwhile changes no figure."""
    with _folder() as folder:
        place = folder / "now"
        for source in _sources(_ROOT):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, place / source.relative_to(_ROOT), ignore=ignored)
        yield _ready(place)


def _ready(folder: Path) -> Tree:
    # An agent that compiles what it imports is a larger one.
    for source in _sources(folder):
        compileall.compile_dir(source, quiet=2)
    words = (sys.executable, "-c", _ASK)
    place, knows_ledger = _output(words, folder, _environment(folder)).split()
    if not Path(place).is_relative_to(folder):
        raise NoTreeError(f"what would run is in {place}, not in {folder}")
    return Tree(folder, knows_ledger == "True")


def _environment(folder: Path, *more: Path) -> dict[str, str]:
    paths = [*_sources(folder)[:-1], *more]
    return os.environ | {"PYTHONPATH": ":".join(map(str, paths)), "PYTHONUNBUFFERED": "1"}


def _sources(folder: Path) -> list[Path]:
    return [place for pattern in _SOURCES for place in sorted(folder.glob(pattern))]


def _git(*words: str) -> str:
    return _output(("git", "-c", f"safe.directory={_ROOT}", *words), _ROOT, {**os.environ})


def _output(words: Sequence[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        words, cwd=folder, env=environment, check=False, capture_output=True, text=True
    )
    if done.returncode:
        said = done.stderr.strip() or f"code {done.returncode}"
        raise NoTreeError(f"{' '.join([words[0], *words[-2:]])}: {said}")
    return done.stdout.strip()


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="npt", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
