"""Claims about the ledger of what the agents of a node have given to containers."""

import asyncio
import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest

from nodeplug.host import ledger as ledger_module
from nodeplug.host.ledger import Ledger, LedgerBusyError, LedgerEntry
from support.mounts import can_mount_in_namespace, mounted
from support.needs import require
from support.small_disk import small_disks
from support.timed import on_this_machine, timed

Join: TypeAlias = Callable[..., Ledger]
Child: TypeAlias = "subprocess.Popen[str]"

BOARD = "example.com/board"
HARDWARE = {"char 81:0": "", "pci 0000:03:00.0": ""}
RECORDER = """
import asyncio, sys, time
from pathlib import Path
from nodeplug.host.ledger import Ledger, LedgerEntry
ledger = Ledger(Path(sys.argv[1]), "release other, pid 7 of pod x")
ledger.open()
async def main():
    async with ledger.turn():
        entry = LedgerEntry("example.com/board", "of-child", time.monotonic(), {"id of-child": ""})
        ledger.append([entry])
        if sys.argv[2] == "inside":
            print("ready", flush=True)
            sys.stdin.read(1)
    print("ready", flush=True)
    sys.stdin.read()
asyncio.run(main())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that is not made yet; on tmpfs where there is one."""
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else tmp_path))
    yield place / "ledger"
    shutil.rmtree(place)


@pytest.fixture
def disk(folder: Path) -> Path:
    require(can_mount_in_namespace(), "a file system of its own needs the right to mount")
    return folder


@pytest.fixture
def join(folder: Path) -> Iterator[Join]:
    """Let a test open ledgers that are closed at its end."""
    with ExitStack() as stack:

        def opened(owner: str = "release a", **options: str) -> Ledger:
            ledger = Ledger(folder, owner, **options)
            stack.callback(ledger.close)
            ledger.open()
            return ledger

        yield opened


@pytest.fixture
def recorder(folder: Path) -> Iterator[Callable[[str], Child]]:
    """Let a test start processes that record "of-child" and stay inside or after their turn."""
    with ExitStack() as stack:

        def started(where: str) -> Child:
            command = [sys.executable, "-c", RECORDER, str(folder), where]
            process = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            return process

        yield started


def entry(device: str, resource: str = BOARD, **facts: object) -> LedgerEntry:
    made = LedgerEntry(resource, device, time.monotonic(), HARDWARE, owner="release a")
    return msgspec.structs.replace(made, **facts)


async def record(ledger: Ledger, *entries: LedgerEntry) -> list[LedgerEntry]:
    async with ledger.turn() as news:
        ledger.append(entries)
    return news


def devices(entries: list[LedgerEntry]) -> list[str]:
    return sorted(e.device for e in entries)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


async def leave(folder: Path, *entries: LedgerEntry, **options: str) -> None:
    """Record entries as an agent that is gone by now."""
    ledger = Ledger(folder, "an agent that is gone", **options)
    await record(ledger, *entries)
    ledger.close()


def told(folder: Path) -> list[LedgerEntry]:
    """Return what an agent learns that comes now."""
    ledger = Ledger(folder, "late")
    found = ledger.open()
    ledger.close()
    return found


def make_read_only(disk: Path) -> None:
    subprocess.run(["/bin/mount", "-o", "remount,ro", str(disk)], check=True)


# What one tells, the others learn


async def test_what_one_agent_records_is_news_to_another(join: Join) -> None:
    """Before it gives anything away, an agent knows what all others gave."""
    one, other = join(), join()
    given = entry("a", pods=("uid",))
    await record(one, given)
    assert await record(other) == [given]


async def test_news_is_told_once(join: Join) -> None:
    """A turn costs what is new, not what there is."""
    one, other = join(), join()
    await record(one, entry("a"))
    await record(other)
    await record(one, entry("b"))
    assert devices(await record(other)) == ["b"]


async def test_a_file_made_within_one_tick_of_the_clock_is_found(join: Join, folder: Path) -> None:
    """The kernel gives a folder one time for all changes of a tick."""
    one, other = join(), join()
    tick = time.time() + 3600
    os.utime(folder, (tick, tick))
    await record(other)
    await record(one, entry("a"))
    os.utime(folder, (tick, tick))
    assert devices(await record(other)) == ["a"]


async def test_the_own_entries_are_no_news(join: Join) -> None:
    """An agent does not collide with itself."""
    one = join()
    await record(one, entry("a"))
    assert await record(one) == []


async def test_opening_tells_what_all_files_hold(join: Join, folder: Path) -> None:
    """An agent that starts knows what was given before it was there."""
    await record(join(), entry("a"))
    await record(join(), entry("b"))
    assert devices(told(folder)) == ["a", "b"]


async def test_the_last_line_of_a_device_counts(join: Join, folder: Path) -> None:
    """A device that is given again is in the hands of its last holder."""
    first, last = entry("a"), entry("a", pods=("uid",))
    await record(join(), first, last)
    assert told(folder) == [last]


async def test_an_entry_taken_back_is_news_that_it_ended(join: Join) -> None:
    """What a failed allocation reserved is free for others at once."""
    one, other = join(), join()
    given = entry("a")
    await record(one, given)
    await record(other)
    ended = msgspec.structs.replace(given, ended=True)
    await record(one, ended)
    assert await record(other) == [ended]


async def test_an_entry_taken_back_is_not_told_to_who_comes_later(join: Join, folder: Path) -> None:
    """What is free is free."""
    await record(join(), entry("a"), entry("a", ended=True), entry("b"))
    assert devices(told(folder)) == ["b"]


async def test_taking_back_what_was_never_given_writes_nothing(join: Join, folder: Path) -> None:
    """An agent may end what it learnt from others; their lines are theirs."""
    await record(join(), entry("a", ended=True))
    assert files(folder) == []


async def test_two_agents_of_one_installation_write_two_files(join: Join, folder: Path) -> None:
    """In a rolling update both are there, and neither writes over the other."""
    await record(join("release a"), entry("a"))
    await record(join("release a"), entry("b"))
    assert devices(told(folder)) == ["a", "b"]
    assert len(files(folder)) == 2


async def test_what_two_gave_is_not_free_when_one_takes_it_back(join: Join) -> None:
    """An id given again within a pod, by the agent's successor, may fail; the first stands."""
    old, new, watcher = join(), join(), join()
    first, second = entry("a"), entry("a")
    await record(old, first)
    assert await record(watcher) == [first]
    await record(new, second)
    assert await record(watcher) == [second]
    await record(new, entry("a", ended=True))
    assert await record(watcher) == [first]


async def test_a_thousand_appends_are_all_there(join: Join, folder: Path) -> None:
    """Nothing is lost on the way."""
    one, other = join(), join()
    news = []
    for number in range(1000):
        await record(one, entry(str(number)))
        if number % 10 == 0:
            news += await record(other)
    news += await record(other)
    assert devices(news) == devices(told(folder)) == sorted(map(str, range(1000)))


@timed
async def test_a_thousand_turns_beside_three_agents_take_less_than_a_quarter_second(
    join: Join,
) -> None:
    """A turn is on the path of every allocation."""
    for _ in range(3):
        await record(join(), entry("a"))
    mine = join()
    started = time.monotonic()
    for _ in range(1000):
        await record(mine, entry("b"))
    assert time.monotonic() - started < on_this_machine(0.25)


async def test_the_folder_is_the_agents_alone(join: Join, folder: Path) -> None:
    """Nobody else reads what containers use, or writes what they are said to use."""
    await record(join(), entry("a"))
    modes = {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}
    assert (stat.S_IMODE(folder.stat().st_mode), modes) == (0o700, {0o600})


# One at a time


@timed
async def test_a_holder_that_was_stopped_is_named_after_half_a_second(
    join: Join, recorder: Callable[[str], Child]
) -> None:
    """The kubelet gets an answer, and an operator learns which agent to look at."""
    ledger, holder = join(), recorder("inside")
    holder.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(LedgerBusyError, match="held by release other, pid 7 of pod x"):
        await record(ledger)
    assert 0.5 <= time.monotonic() - started < on_this_machine(1)


@timed
async def test_waiting_for_the_lock_leaves_the_loop_alone(
    join: Join, recorder: Callable[[str], Child]
) -> None:
    """Meanwhile the agent answers everything else."""
    ledger, _ = join(), recorder("inside")
    waiting = asyncio.create_task(record(ledger))
    longest = 0.0
    while not waiting.done():
        before = time.monotonic()
        await asyncio.sleep(0)
        longest = max(longest, time.monotonic() - before)
    with pytest.raises(LedgerBusyError):
        await waiting
    assert longest < on_this_machine(0.05)


async def test_a_holder_that_goes_on_is_waited_for(
    join: Join, recorder: Callable[[str], Child]
) -> None:
    """Once the stopped process leaves its turn, what it recorded is known."""
    ledger, holder = join(), recorder("inside")
    holder.send_signal(signal.SIGSTOP)
    with pytest.raises(LedgerBusyError):
        await record(ledger)
    holder.send_signal(signal.SIGCONT)
    print(file=holder.stdin, flush=True)
    assert holder.stdout is not None
    await asyncio.to_thread(holder.stdout.readline)
    assert devices(await record(ledger)) == ["of-child"]


async def test_a_killed_holder_is_in_nobodys_way(
    join: Join, recorder: Callable[[str], Child]
) -> None:
    """The lock goes with its process, and what it recorded stays."""
    ledger, holder = join(), recorder("inside")
    holder.kill()
    holder.wait()
    assert devices(await record(ledger)) == ["of-child"]


async def test_the_lock_is_waited_for_as_long_as_a_turn_takes(join: Join) -> None:
    """Two agents asked at the same moment both answer."""
    one, other = join(), join()
    async with one.turn():
        waiting = asyncio.create_task(record(other))
        await asyncio.sleep(0)
        one.append([entry("a")])
    assert devices(await waiting) == ["a"]


async def test_two_turns_of_one_agent_come_one_after_the_other(join: Join) -> None:
    """The lock of a process does not keep its own tasks apart."""
    ledger, inside = join(), []

    async def take(number: int) -> None:
        async with ledger.turn():
            inside.append(number)
            await asyncio.sleep(0)
            inside.append(number)

    await asyncio.gather(*map(take, range(3)))
    assert inside == [0, 0, *sorted(inside[2:])]


async def test_a_turn_that_fails_gives_the_lock_up(join: Join) -> None:
    """A refused allocation is not in the way of the next."""
    one, other = join(), join()
    with pytest.raises(ZeroDivisionError):
        async with one.turn():
            raise ZeroDivisionError
    assert await record(other) == []


async def test_a_lock_file_that_is_removed_is_made_again(join: Join, folder: Path) -> None:
    """Agents that come later and those that were there use the same one."""
    one = join()
    await record(one)
    (folder / "lock").unlink()
    late = join()
    async with late.turn():
        with pytest.raises(LedgerBusyError):
            await record(one)


async def test_recording_needs_a_turn(join: Join) -> None:
    """What is recorded without the lock was not checked against the others."""
    with pytest.raises(AssertionError, match="in a turn"):
        join().append([entry("a")])


# Where the folder is of no use


async def test_without_a_folder_entries_are_in_memory() -> None:
    """An agent works without a ledger, and says that it has none."""
    ledger = Ledger(None, "release a")
    assert (ledger.open(), await record(ledger, entry("a"))) == ([], [])
    assert (list(ledger.own), ledger.trouble) == ([(BOARD, "a")], "no folder for the ledger is set")


async def test_a_folder_that_cannot_be_made_does_no_harm(tmp_path: Path) -> None:
    """An allocation is answered, and the trouble is visible."""
    (tmp_path / "file").touch()
    ledger = Ledger(tmp_path / "file/ledger", "release a")
    assert (ledger.open(), await record(ledger, entry("a"))) == ([], [])
    assert (list(ledger.own), ledger.trouble) == (
        [(BOARD, "a")],
        f"{tmp_path}/file/ledger: Not a directory",
    )


async def test_what_was_kept_in_memory_is_written_when_it_can_be(tmp_path: Path) -> None:
    """Others learn of it as soon as the folder can be made."""
    (tmp_path / "file").touch()
    ledger = Ledger(tmp_path / "file/ledger", "release a")
    await record(ledger, entry("a"))
    (tmp_path / "file").unlink()
    await record(ledger)
    assert (devices(told(tmp_path / "file/ledger")), ledger.trouble) == (["a"], "")
    ledger.close()


async def test_a_folder_that_is_read_only_is_read(disk: Path) -> None:
    """An agent that cannot tell others still learns what they have."""
    with mounted("tmpfs", disk, "size=1m"):
        await leave(disk, entry("a"))
        await asyncio.to_thread(make_read_only, disk)
        ledger = Ledger(disk, "release a")
        found = ledger.open()
        await record(ledger, entry("b"))
        ledger.close()
    assert (devices(found), ledger.trouble) == (["a"], f"{disk}: Read-only file system")


@pytest.mark.parametrize("of_files", [False, True])
async def test_a_full_disk_keeps_entries_in_memory(disk: Path, *, of_files: bool) -> None:
    """An allocation is answered, and what it gave is written when there is room."""
    with small_disks(disk) as disks:
        ledger = Ledger(disk, "release a")
        with disks.full(of_files=of_files):
            await record(ledger, entry("a"))
            assert (list(ledger.own), ledger.trouble) == (
                [(BOARD, "a")],
                f"{disk}: No space left on device",
            )
        await record(ledger)
        assert (devices(told(disk)), ledger.trouble) == (["a"], "")
        ledger.close()


async def test_half_a_line_on_a_full_disk_spoils_no_other(disk: Path) -> None:
    """The disk takes the beginning of a line; all of it comes with the next turn."""
    with small_disks(disk) as disks:
        ledger = Ledger(disk, "release a")
        await record(ledger, entry("a"))
        with disks.full():
            await record(ledger, entry("b", pods=("x" * 5000,)))
            assert files(disk)[0].stat().st_size == 4096
            assert ledger.trouble
        await record(ledger, entry("c"))
        assert (devices(told(disk)), ledger.trouble) == (["a", "b", "c"], "")
        ledger.close()


async def test_a_removed_folder_is_made_again_with_all_that_lives(join: Join, folder: Path) -> None:
    """Whoever cleans up does not make others give hardware twice."""
    ledger = join()
    await record(ledger, entry("a"), entry("b"), entry("b", ended=True))
    shutil.rmtree(folder)
    await record(ledger, entry("c"))
    assert devices(told(folder)) == ["a", "c"]


async def test_a_removed_file_takes_nothing_back(join: Join, folder: Path) -> None:
    """Its entries are news neither when it goes nor when it comes again."""
    one, other = join(), join()
    await record(one, entry("a"))
    await record(other)
    files(folder)[0].unlink()
    news = await record(other)
    await record(one)
    assert (news, len(files(folder))) == ([], 1)


# Files of agents that are no more


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every turn look for what agents left."""
    monkeypatch.setattr(ledger_module, "_ADOPT_SECONDS", 0.0)


@pytest.mark.usefixtures("at_once")
async def test_what_a_killed_agent_gave_is_taken_over(
    join: Join, folder: Path, recorder: Callable[[str], Child]
) -> None:
    """Its containers go on; who adopts the entry can end it."""
    ledger, gone = join(), recorder("after")
    gone.kill()
    gone.wait()
    news = await record(ledger)
    assert (devices(news), list(ledger.own)) == (["of-child"], [(BOARD, "of-child")])
    assert ledger.own[BOARD, "of-child"].owner == "release other, pid 7 of pod x"
    assert devices(told(folder)) == ["of-child"]


@pytest.mark.usefixtures("at_once")
async def test_what_is_taken_over_is_not_told_again(
    join: Join, recorder: Callable[[str], Child]
) -> None:
    """Neither to who took it over nor to who watched."""
    ledger, watcher, gone = join(), join(), recorder("after")
    assert devices(await record(ledger)) == devices(await record(watcher)) == ["of-child"]
    gone.kill()
    gone.wait()
    assert (await record(ledger), await record(watcher)) == ([], [])
    assert list(ledger.own) == [(BOARD, "of-child")]


async def test_what_is_taken_over_can_be_taken_back(join: Join, folder: Path) -> None:
    """An entry does not outlive the proof that it is free because its agent is gone."""
    await leave(folder, entry("a"))
    await record(join(), entry("a", ended=True))
    assert told(folder) == []


async def test_restarts_leave_one_file(folder: Path) -> None:
    """Files do not pile up, and no restart loses an entry."""
    for number in range(10):
        await leave(folder, entry(str(number)))
    assert len(files(folder)) == 1
    assert devices(told(folder)) == sorted(map(str, range(10)))


async def test_the_file_of_an_agent_that_lives_is_left_to_it(
    join: Join, folder: Path, recorder: Callable[[str], Child]
) -> None:
    """It is the one that writes it."""
    recorder("after")
    ledger = join()
    await record(ledger)
    assert (len(files(folder)), dict(ledger.own)) == (1, {})


async def test_the_newer_of_two_is_kept_when_a_file_is_taken_over(join: Join, folder: Path) -> None:
    """What the agent itself gave later is what counts."""
    old, new, ledger = entry("a"), entry("a"), join()
    await record(ledger, new)
    await leave(folder, old)
    await record(ledger)
    assert list(ledger.own.values()) == [new]


async def test_a_file_stays_while_its_entries_find_no_room(disk: Path) -> None:
    """Who finds room for them takes them over."""
    with small_disks(disk) as disks:
        await leave(disk, entry("a"))
        with disks.full(of_files=True):
            ledger = Ledger(disk, "release a")
            ledger.open()
            assert len(files(disk)) == 1
        other = Ledger(disk, "release b")
        other.open()
        assert list(other.own) == [(BOARD, "a")]
        other.close()
        ledger.close()


async def test_an_agent_killed_while_it_takes_over_loses_nothing(folder: Path) -> None:
    """It leaves two files that tell the same, which count once."""
    await leave(folder, entry("a"))
    (one,) = files(folder)
    shutil.copy(one, one.with_name("00000000-0.jsonl"))
    ledger = Ledger(folder, "next")
    found = ledger.open()
    assert (devices(found), list(ledger.own), len(files(folder))) == (["a"], [(BOARD, "a")], 1)
    ledger.close()


async def test_a_file_that_cannot_be_opened_now_is_read_later(
    join: Join, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is short of descriptors for a moment misses nothing in the end."""
    one, other = join(), join()
    await record(one, entry("a"))
    os.utime(folder, (0, 0))
    with monkeypatch.context() as patch:
        patch.setattr("nodeplug.host.ledger.opened", short_of_descriptors)
        before = await record(other)
    assert (before, devices(await record(other))) == ([], ["a"])


def short_of_descriptors(*_: object) -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


async def test_what_was_before_the_boot_is_forgotten(join: Join, folder: Path) -> None:
    """No container of then runs now, and the clock has begun again."""
    await leave(folder, entry("a"), boot="another boot")
    ledger = join()
    assert (await record(ledger), dict(ledger.own), files(folder)) == ([], {}, [])


# Spoilt files


async def test_half_a_line_is_read_when_it_is_whole(join: Join, folder: Path) -> None:
    """A reader without the lock may come in the middle of a write."""
    one, other = join(), join()
    await record(one, entry("a"))
    line = msgspec.json.encode(entry("b")) + b"\n"
    with files(folder)[0].open("ab", buffering=0) as file:
        file.write(line[:20])
        before = await record(other)
        file.write(line[20:])
    assert (devices(before), devices(await record(other))) == (["a"], ["b"])


@pytest.mark.parametrize(
    "line",
    [b"\xff\xfe", b"{}", b'{"resource": 1}', b"[" * 9999, b"x" * 200_000, b"\0" * 70_000, b"\n"],
    ids=["no text", "empty", "wrong type", "deep", "long", "zeros", "blank"],
)
async def test_a_line_that_says_nothing_is_passed_over(
    join: Join, folder: Path, line: bytes
) -> None:
    """What comes after it is read."""
    one, other = join(), join()
    await record(one, entry("a"))
    with files(folder)[0].open("ab") as file:
        file.write(line + b"\n")
    await record(one, entry("b"))
    assert devices(await record(other)) == ["a", "b"]


async def test_a_file_that_was_cut_off_is_read_again(join: Join, folder: Path) -> None:
    """What is appended to it is not lost on its readers."""
    one, other = join(), join()
    await record(one, entry("a"), entry("b"))
    await record(other)
    os.truncate(files(folder)[0], 0)
    await record(other)
    header = msgspec.json.encode({"boot": Path("/proc/sys/kernel/random/boot_id").read_text()[:-1]})
    with files(folder)[0].open("ab") as file:
        file.write(header + b"\n")
    await record(one, entry("c"))
    assert devices(await record(other)) == ["c"]


def strange_file(place: Path) -> None:
    place.write_bytes(b"x")
    os.chown(place, 4711, -1)


STRANGE: dict[str, Callable[[Path], object]] = {
    "link": lambda place: place.symlink_to("/dev/zero"),
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
    "of another user": strange_file,
}


@pytest.mark.parametrize("kind", STRANGE)
async def test_what_is_no_file_of_an_agent_is_left_alone(
    join: Join, folder: Path, kind: str
) -> None:
    """Nothing that somebody puts there stops an agent, and the others are read."""
    require(kind != "of another user" or os.geteuid() == 0, "only root gives files away")
    folder.mkdir(mode=0o700)
    STRANGE[kind](folder / "00000000-0.jsonl")
    one, other = join(), join()
    await record(one, entry("a"))
    assert devices(await record(other)) == ["a"]
    assert len(files(folder)) == 2


@pytest.mark.parametrize("kind", STRANGE)
async def test_a_lock_that_is_no_file_keeps_entries_in_memory(
    join: Join, folder: Path, kind: str
) -> None:
    """An allocation is answered, and the trouble is visible."""
    require(kind != "of another user" or os.geteuid() == 0, "only root gives files away")
    folder.mkdir(mode=0o700)
    STRANGE[kind](folder / "lock")
    ledger = join()
    await record(ledger, entry("a"))
    assert (list(ledger.own), files(folder)) == ([(BOARD, "a")], [])
    assert ledger.trouble.startswith(f"{folder}: ")


async def test_of_a_huge_file_only_the_beginning_is_read(join: Join, folder: Path) -> None:
    """The event loop does not stand still for what somebody wrote there."""
    one, other = join(), join()
    await record(one, entry("a"))
    with files(folder)[0].open("ab") as file:
        file.truncate(1 << 40)
    assert devices(await record(other)) == ["a"]


# Small again


async def grow(ledger: Ledger, *devices: str) -> None:
    """Let the ledger's file grow beyond what is small."""
    for _ in range(600 // len(devices)):
        await record(ledger, *map(entry, devices))


async def compact(ledger: Ledger, living: Callable[[LedgerEntry], bool] = lambda _: True) -> None:
    async with ledger.turn():
        ledger.compact(living)


async def test_a_file_of_old_lines_is_made_small(join: Join, folder: Path) -> None:
    """A ledger does not grow with the time that an agent runs."""
    ledger = join()
    await grow(ledger, "a", "b")
    before = files(folder)[0].stat().st_size
    await compact(ledger)
    (after,) = files(folder)
    assert (before > 65536, after.stat().st_size < 1024) == (True, True)
    assert devices(told(folder)) == ["a", "b"]


async def test_a_reader_sees_no_news_in_a_file_made_small(join: Join) -> None:
    """The same is told by other lines."""
    one, other = join(), join()
    await grow(one, "a", "b")
    await record(other)
    await compact(one)
    assert await record(other) == []


async def test_a_reader_goes_on_in_a_file_made_small(join: Join) -> None:
    """What is appended there is news."""
    one, other = join(), join()
    await grow(one, "a", "b")
    await record(other)
    await compact(one)
    await record(one, entry("c"))
    assert devices(await record(other)) == ["c"]


async def test_what_does_not_live_ends_as_the_file_is_made_small(join: Join) -> None:
    """Others need not prove again what its agent has proved."""
    one, other = join(), join()
    await grow(one, "a", "b")
    await record(other)
    await compact(one, lambda given: given.device == "a")
    news = await record(other)
    assert [(given.device, given.ended) for given in news] == [("b", True)]


@pytest.mark.parametrize(
    "live", [("a",) * 10, tuple(map(str, range(600)))], ids=["small", "living"]
)
async def test_a_file_stays_as_it_is_where_that_is_best(
    join: Join, folder: Path, live: tuple[str, ...]
) -> None:
    """Neither a small file nor one of living entries is worth the work."""
    ledger = join()
    for device in live:
        await record(ledger, entry(device))
    before = files(folder)
    await compact(ledger)
    assert files(folder) == before


async def test_a_file_stays_where_there_is_no_room_for_another(disk: Path) -> None:
    """That is no trouble: everything is written already."""
    with small_disks(disk) as disks:
        ledger = Ledger(disk, "release a")
        await grow(ledger, "a")
        before = files(disk)
        with disks.full(of_files=True):
            await compact(ledger)
        assert (files(disk), ledger.trouble) == (before, "")
        ledger.close()
