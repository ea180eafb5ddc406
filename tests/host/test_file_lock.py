"""Claims about locks that other processes see."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodeplug.host.files import FileLock

HOLDER = """
import sys
from pathlib import Path
from nodeplug.host.files import FileLock
lock = FileLock(Path(sys.argv[1]))
print(lock.try_acquire(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def lock(path: Path) -> Iterator[FileLock]:
    lock = FileLock(path)
    yield lock
    lock.release()


@pytest.fixture
def other_process(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Hold the lock in another process until it is killed."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


def test_a_free_lock_is_taken(lock: FileLock) -> None:
    """The first to ask has it."""
    assert lock.try_acquire()


def test_asking_again_where_it_is_held_is_true(lock: FileLock) -> None:
    """The holder may ask as often as it likes."""
    assert [lock.try_acquire(), lock.try_acquire()] == [True, True]


def test_a_second_holder_in_the_same_process_is_refused(lock: FileLock, path: Path) -> None:
    """The lock belongs to one open file, not to a process."""
    lock.try_acquire()
    assert not FileLock(path).try_acquire()


@pytest.mark.usefixtures("other_process")
def test_a_lock_of_another_process_is_refused(lock: FileLock) -> None:
    """Two processes never hold it at once."""
    assert not lock.try_acquire()


def test_a_killed_holder_leaves_the_lock_free(
    lock: FileLock, other_process: "subprocess.Popen[str]"
) -> None:
    """No cleanup is needed after SIGKILL."""
    other_process.kill()
    other_process.wait()
    assert lock.try_acquire()


def test_a_released_lock_is_free(lock: FileLock, path: Path) -> None:
    """After release, another takes it."""
    lock.try_acquire()
    lock.release()
    other = FileLock(path)
    taken = other.try_acquire()
    other.release()
    assert taken


def test_a_held_lock_is_current(lock: FileLock) -> None:
    """While nobody touches the file, the lock means something."""
    lock.try_acquire()
    assert lock.held_here_is_current()


def test_a_lock_not_held_is_not_current(lock: FileLock, path: Path) -> None:
    """A file at the path is not enough."""
    path.touch()
    assert not lock.held_here_is_current()


def test_a_lock_whose_file_was_removed_is_not_current(lock: FileLock, path: Path) -> None:
    """The next to come would make and lock a new file."""
    lock.try_acquire()
    path.unlink()
    assert not lock.held_here_is_current()


def test_a_lock_whose_file_was_replaced_is_not_current(lock: FileLock, path: Path) -> None:
    """Another may hold the lock on the new file."""
    lock.try_acquire()
    path.unlink()
    path.touch()
    assert not lock.held_here_is_current()


def test_a_lock_on_a_file_removed_meanwhile_is_not_taken(path: Path) -> None:
    """Where each holder removes the file at its end, there still is only one at a time."""
    holders: set[int] = set()
    together = []

    def compete(me: int) -> None:
        for _ in range(300):
            lock = FileLock(path)
            if lock.try_acquire():
                holders.add(me)
                together.append(len(holders))
                holders.remove(me)
                path.unlink()
                lock.release()

    threads = [threading.Thread(target=compete, args=(number,)) for number in range(4)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert set(together) == {1}


def test_a_link_at_the_path_is_not_followed(lock: FileLock, path: Path) -> None:
    """Nobody can lead the lock elsewhere with a link."""
    path.symlink_to("elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        lock.try_acquire()


def test_others_read_who_holds_it(lock: FileLock, path: Path) -> None:
    """The holder's note is there for those who were refused."""
    lock.try_acquire()
    lock.write("an older and longer note")
    lock.write("instance b")
    assert FileLock(path).read() == "instance b"


def test_a_missing_note_is_empty(lock: FileLock) -> None:
    """Where no file is, no note is."""
    assert lock.read() == ""
