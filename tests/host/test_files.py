"""Claims about files written for others to read."""

import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nodeplug.host.files import remove_quietly, write_atomically
from support.mounts import can_mount_in_namespace
from support.needs import require


def test_the_file_holds_the_data(tmp_path: Path) -> None:
    """A new file gets the data, and nothing lies beside it."""
    write_atomically(tmp_path / "f", b"data")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("f", b"data")]


def test_the_mode_is_as_asked_whatever_the_umask(tmp_path: Path) -> None:
    """The process's umask takes nothing away."""
    before = os.umask(0o077)
    try:
        write_atomically(tmp_path / "f", b"", mode=0o644)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o644


def test_a_reader_of_the_old_file_keeps_it(tmp_path: Path) -> None:
    """Who has the file open never sees it change under it."""
    (tmp_path / "f").write_bytes(b"old")
    with (tmp_path / "f").open("rb") as reader:
        write_atomically(tmp_path / "f", b"new and longer")
        assert reader.read() == b"old"


def test_a_link_at_the_path_is_replaced_not_followed(tmp_path: Path) -> None:
    """Nobody can lead the data elsewhere with a link."""
    (tmp_path / "f").symlink_to("elsewhere")
    write_atomically(tmp_path / "f", b"data")
    assert not (tmp_path / "elsewhere").exists()


def test_a_failed_replacement_leaves_nothing_behind(tmp_path: Path) -> None:
    """Where the path is a folder, the write fails and removes what it had begun."""
    (tmp_path / "f").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "f", b"data")
    assert list(tmp_path.iterdir()) == [tmp_path / "f"]


FULL_DISK = """
import errno, sys
from pathlib import Path
from nodeplug.host.files import write_atomically
path = Path(sys.argv[1]) / "f"
write_atomically(path, b"old")
try:
    write_atomically(path, b"x" * 1_000_000)
except OSError as error:
    assert error.errno == errno.ENOSPC, error
else:
    raise SystemExit("the disk was not full")
assert path.read_bytes() == b"old"
assert [each.name for each in path.parent.iterdir()] == ["f"], list(path.parent.iterdir())
"""


def test_a_full_disk_keeps_the_old_file_and_no_debris(tmp_path: Path) -> None:
    """On a file system of 64 KiB, a write of 1 MB fails and changes nothing."""
    mount = 'mount -t tmpfs -o size=64k none "$1"'
    shell = ["unshare", "--mount", "sh", "-ec"]
    require(can_mount_in_namespace(), "mounting in a namespace needs root and unshare")
    run = f'{mount}; exec "$2" -c "$3" "$1"'
    command = [*shell, run, "sh", str(tmp_path), sys.executable, FULL_DISK]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_removing_a_missing_file_is_silent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is not there needs no removal and no word."""
    remove_quietly(tmp_path / "none")
    assert caplog.records == []


def test_a_failed_removal_is_logged_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder cannot be removed as a file; the caller goes on."""
    with caplog.at_level(logging.WARNING, "nodeplug.host"):
        remove_quietly(tmp_path)
    assert [record.message for record in caplog.records] == ["file not removed"]
