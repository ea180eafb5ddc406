"""Files that backends want on the host."""

import os
import stat
from pathlib import Path

import pytest

from nodeplug.backend import HostFile
from nodeplug.host.root import HostRoot
from nodeplug.host_files import HostFileStore
from nodeplug.testing import Pod
from support.awkward.state import State
from support.stage import BOARD, stage

DEVICE = HostFile("/info/a", b"one", "x.y/z", "a")
COMMON = HostFile("/info/all", b"all")


def reconcile(
    folder: Path, *wanted: HostFile, in_use: dict[str, set[str]] | None = None
) -> dict[tuple[str, str], str]:
    return HostFileStore(HostRoot(folder), folder / "ledger.json").reconcile(wanted, in_use)


def present(folder: Path) -> set[str]:
    return {file.name for file in (folder / "info").iterdir()}


def test_what_is_wanted_is_written_and_brought_up_to_date(tmp_path: Path) -> None:
    """The content is the backend's, the path the host's."""
    reconcile(tmp_path, DEVICE)
    reconcile(tmp_path, HostFile("/info/a", b"two", "x.y/z", "a"))
    assert (tmp_path / "info/a").read_bytes() == b"two"


def test_what_is_no_longer_wanted_goes_unless_a_container_may_need_it(tmp_path: Path) -> None:
    """By an agent that did not write it: the ledger tells."""
    reconcile(tmp_path, DEVICE, COMMON)
    reconcile(tmp_path, in_use={"x.y/z": {"a"}})
    held = present(tmp_path)
    reconcile(tmp_path, in_use={})
    assert (held, present(tmp_path)) == ({"a"}, set())


def test_a_device_s_file_stays_while_nothing_is_known_of_its_use(tmp_path: Path) -> None:
    """No answer from the kubelet is no permission."""
    reconcile(tmp_path, DEVICE)
    reconcile(tmp_path)
    assert present(tmp_path) == {"a"}


def test_files_of_others_are_never_touched(tmp_path: Path) -> None:
    """Only what stands in the ledger can be removed."""
    (tmp_path / "info").mkdir()
    (tmp_path / "info/foreign").touch()
    reconcile(tmp_path, DEVICE, in_use={})
    reconcile(tmp_path, in_use={})
    assert present(tmp_path) == {"foreign"}


def test_links_of_the_host_lead_where_the_host_has_them(tmp_path: Path) -> None:
    """`/var/run` is an absolute link on most hosts, and here the host's root is elsewhere."""
    host = tmp_path / "host"
    for folder in (host / "var", host / "run", tmp_path / "run"):
        folder.mkdir(parents=True)
    (host / "var/run").symlink_to("/run")
    file = HostFile("/var/run/info/a", b"one")
    assert not reconcile(host, file, in_use={})
    assert present(host / "run") == {"a"}
    reconcile(host, in_use={})
    assert present(host / "run") == set()


def test_a_link_in_the_place_of_a_file_is_replaced(tmp_path: Path) -> None:
    """What it leads to is not ours to write to."""
    (tmp_path / "info").mkdir()
    (tmp_path / "foreign").write_bytes(b"one")
    (tmp_path / "info/a").symlink_to(tmp_path / "foreign")
    reconcile(tmp_path, DEVICE)
    assert not (tmp_path / "info/a").is_symlink()


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_others_can_read_folders_that_are_made(tmp_path: Path, umask: int) -> None:
    """Whatever the umask of the agent, which keeps its sockets to itself."""
    before = os.umask(umask)
    try:
        reconcile(tmp_path, HostFile("/info/deep/a", b""))
    finally:
        os.umask(before)
    made = (tmp_path / "info", tmp_path / "info/deep")
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in made] == [0o755, 0o755]


def test_folders_that_were_there_keep_their_mode(tmp_path: Path) -> None:
    """They are somebody else's."""
    (tmp_path / "info").mkdir(mode=0o700)
    reconcile(tmp_path, HostFile("/info/deep/a", b""))
    assert stat.S_IMODE((tmp_path / "info").stat().st_mode) == 0o700


def test_a_file_that_cannot_be_written_is_told_by_device(tmp_path: Path) -> None:
    """The others are in place."""
    (tmp_path / "info").touch()
    failures = reconcile(tmp_path, DEVICE, HostFile("/other/b", b"", "x.y/w", "b"))
    assert (list(failures), (tmp_path / "other/b").exists()) == ([("x.y/z", "a")], True)


async def test_a_file_is_there_before_its_device_is_listed_and_as_long_as_it_is_held() -> None:
    """From the backend to the host, and over the device's end."""
    async with stage() as play:
        file = play.host.path("/awkward/info-awk-board-3")
        assert file.read_text() == BOARD
        pod = Pod.of({BOARD: 4})
        await play.kubelet.admit(pod)
        play.set(State(missing=("awk-board-3",)))
        await play.listed(allocatable=3)
        assert file.exists()
        await play.kubelet.remove(pod)
        await play.kubelet.admit(Pod.of({BOARD: 1}))
        await play.kubelet.until(lambda: "awk-board-3" not in play.kubelet.devices(BOARD))
        play.set(State(missing=("awk-board-3",), sick=("awk-board-0",)))
        await play.listed(allocatable=2)
        assert not file.exists()
