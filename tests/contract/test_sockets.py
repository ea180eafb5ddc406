"""C5, C19, C20: our files in the kubelet's directory."""

import asyncio
import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubelets.kinds import Kind
from nodeplug.allocation import BackendHandle
from nodeplug.host.fallbacks import fallbacks
from nodeplug.host.watch import PathWatch
from nodeplug.kubelet import server
from nodeplug.kubelet.sockets import SocketDirectory, check_plugin_dir, instance_locks
from nodeplug.testing import Pod
from nodeplug.testing.patience import patience
from nodeplug.values.device import Device
from nodeplug.values.errors import KubeletDirectoryError
from nodeplug.values.inventory import Inventory
from support.awkward.state import State
from support.stage import BOARD, Stage, stage


def sockets(play: Stage) -> list[Path]:
    return sorted((play.directory / ".nodeplug").glob("*/*.sock"))


async def test_c05_a_removed_link_is_put_back(kind: Kind) -> None:
    """R10: the kubelet's connection lives on, nothing is registered anew."""
    async with stage(kind=kind) as play:
        link = next(path for path in sockets(play) if path.name.startswith("1-"))
        async with patience(5), PathWatch() as changes:
            link.unlink()
            changes.add(link.parent, frozenset({link.name}))
            await anext(aiter(changes))
        assert link.is_socket()
        assert len(play.kubelet.journal.of("register", BOARD)) == 1


async def test_c05_a_resource_whose_socket_files_are_all_gone_is_served_again(
    kind: Kind,
) -> None:
    """R10, R11: a new socket is bound, then registered; the devices are back within 5 s."""
    async with stage(kind=kind) as play:
        for path in sockets(play):
            path.unlink()
        await play.kubelet.until(lambda: len(play.kubelet.journal.of("register", BOARD)) > 1, 5)
        await play.listed(allocatable=4)
        await play.kubelet.admit(Pod.of({BOARD: 1}))


async def test_c05_the_kubelet_s_sweep_leaves_our_sockets_alone(kind: Kind) -> None:
    """R5, R7: it removes sockets from the top level only."""
    async with stage(kind=kind) as play:
        before = sockets(play)
        await play.kubelet.restart()
        assert {path for path in before if path.name.startswith(".")} <= set(sockets(play))


async def test_c19_an_orderly_end_removes_our_files_and_no_others(kind: Kind) -> None:
    """Streams end, sockets and directory go; what others put there stays."""
    async with stage(kind=kind) as play:
        foreign = play.directory / "other-vendor.conf"
        foreign.touch()
        kept = play.directory / ".nodeplug" / "last-good"
        await play.kubelet.until(lambda: kept.exists() and bool(list(kept.glob("*.json"))))
        await play.stop_agent(play.agents[0])
        await play.listed(allocatable=0)
        left = {p.name for p in (play.directory / ".nodeplug").iterdir()}
        assert (foreign.exists(), left) == (
            True,
            {"locks", "last-good", "host-files", "served-names"},
        )


@pytest.fixture(name="short")
def _short() -> Iterator[Path]:
    """Give a folder in which paths of sockets have room."""
    with tempfile.TemporaryDirectory(prefix="np", dir="/tmp") as folder:
        yield Path(folder)


async def test_c19_what_a_killed_instance_left_is_swept_by_the_next(short: Path) -> None:
    """Stale directories are known by their free lock, never by a process id."""
    stale = short / ".nodeplug" / "0badc0de"
    stale.mkdir(parents=True)
    (stale / "lock").touch()
    (stale / ".1.sock").touch()
    living = SocketDirectory(short)
    living.open()
    second = SocketDirectory(short)
    second.open()
    assert (stale.exists(), len(list((short / ".nodeplug").iterdir()))) == (False, 2)
    second.close()
    living.close()
    assert not [*(short / ".nodeplug").iterdir()]


async def test_a_directory_that_is_swept_before_it_is_locked_is_made_anew(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two instances that start at one moment take nothing from each other."""
    second = SocketDirectory(short)
    lock = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        monkeypatch.undo()
        second.open()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    first = SocketDirectory(short)
    first.open()
    assert len(list(instance_locks(short / ".nodeplug"))) == 2
    first.close()
    second.close()


@pytest.mark.parametrize("name", ["ledger", "locks", "0badc0de.kept", "0badc0d", "0BADC0DE"])
def test_c19_a_folder_of_another_kind_is_not_swept(short: Path, name: str) -> None:
    """The ledger has a file `lock`, too, and nobody holds it for long."""
    beside = short / ".nodeplug" / name
    beside.mkdir(parents=True)
    (beside / "lock").touch()
    (beside / "entries").touch()
    sockets = SocketDirectory(short)
    sockets.open()
    sockets.close()
    assert sorted(path.name for path in beside.iterdir()) == ["entries", "lock"]


def test_c20_a_directory_whose_socket_paths_would_be_too_long_is_refused(tmp_path: Path) -> None:
    """R13: 107 bytes is what a Unix socket address holds."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    with pytest.raises(KubeletDirectoryError, match=r"the limit is 107; choose a directory"):
        check_plugin_dir(long)


def test_c20_the_default_directory_is_short_enough() -> None:
    """R1: it cannot be chosen."""
    with pytest.raises(KubeletDirectoryError, match="no such directory"):
        check_plugin_dir(Path("/var/lib/kubelet/device-plugins-of-no-kubelet"))


async def test_what_gRPC_reads_otherwise_in_the_path_of_a_directory_harms_nothing(  # noqa: N802
    kind: Kind,
) -> None:
    """A percent sign and what begins parts of a URI."""
    async with stage(kind=kind, prefix="np%41?#") as play:
        await play.kubelet.admit(Pod.of({BOARD: 1}))
        await play.listed(allocatable=4)


async def test_a_second_instance_waits_and_takes_over(kind: Kind) -> None:
    """Rolling update with surge: never two servers of one resource, and no gap after the first."""
    async with stage(kind=kind) as play:
        first = play.agents[0]
        play.start_agent()
        play.set(State(sick=("awk-board-0",)))
        await play.listed(allocatable=3)
        assert len(play.kubelet.journal.of("register", BOARD)) == 1
        await play.stop_agent(first)
        await play.listed(allocatable=0)
        await play.listed(allocatable=3)


async def test_a_resource_of_the_domain_lock_is_served_at_every_start() -> None:
    """Its lock is a folder where an instance has a file."""
    device = Device(id="l1", resource="lock/thing")
    async with stage() as play:
        for _ in range(2):
            await play.agent.publish(BackendHandle("locks"), Inventory.of([device]))
            await play.listed("lock/thing", allocatable=1)
            await play.stop_agent(play.agents[0])
            await play.listed(allocatable=0)
            play.start_agent()
            await play.listed(allocatable=4)


def test_c19_what_only_looks_like_an_instance_breaks_no_start(short: Path) -> None:
    """Nobody of ours makes such a folder."""
    odd = short / ".nodeplug" / "0badc0de" / "lock"
    odd.mkdir(parents=True)
    sockets = SocketDirectory(short)
    sockets.open()
    sockets.close()
    assert odd.exists()


async def test_a_server_that_never_ends_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where gRPC could start no thread: the end of the agent does not wait for it."""
    monkeypatch.setattr(server, "_GRPC_SECONDS", 0.01)
    ended = asyncio.Event()

    async def stop() -> None:
        await ended.wait()

    await server._to_its_end(stop())
    assert "gRPC" in fallbacks()
    ended.set()
    await server._to_its_end(stop())
    assert fallbacks() == {}
