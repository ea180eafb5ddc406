"""The names of nodes that cannot be seen, of which one device may not answer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nodeplug.host.node_names import NodeNames
from nodeplug.host.root import HostRoot
from support.needs import require
from support.slow_files import SlowFile, can_serve_files

ALL = {"ttyX0": "char 4:0", "input/event1": "char 13:65", "sda": "block 8:0"}


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> HostRoot:
    for name, key in ALL.items():
        kind, _, number = key.partition(" ")
        folder = tmp_path / "sys/dev" / kind / number
        folder.mkdir(parents=True)
        (folder / "uevent").write_text(f"MAJOR=4\nDEVNAME={name}\nMINOR=1\n")
    return HostRoot(tmp_path)


@pytest.fixture(name="file")
def _file(root: HostRoot) -> Iterator[SlowFile]:
    require(can_serve_files(), "serving a file system needs root and /dev/fuse")
    with SlowFile(root.sys / "dev/char/4:0/uevent", "DEVNAME=ttyX0\n") as file:
        yield file


def test_all_are_named(root: HostRoot) -> None:
    """By what is below /dev."""
    assert NodeNames(root).read() == ALL


def test_one_that_has_no_name_is_none(root: HostRoot) -> None:
    """Some have no node."""
    (root.sys / "dev/char/4:0/uevent").write_text("MAJOR=4\n")
    assert NodeNames(root).read().keys() == ALL.keys() - {"ttyX0"}


def test_one_that_never_answered_holds_up_no_other(root: HostRoot, file: SlowFile) -> None:
    """The kernel holds its lock while a driver waits for it."""
    file.hang()
    assert NodeNames(root).read().keys() == ALL.keys() - {"ttyX0"}


def test_one_that_falls_silent_keeps_its_name(root: HostRoot, file: SlowFile) -> None:
    """Or what is in use would seem to be something else."""
    names = NodeNames(root)
    names.read()
    file.hang()
    assert names.read() == ALL
