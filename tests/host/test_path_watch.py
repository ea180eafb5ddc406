"""Claims about watching directories for names."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nodeplug.host.uevents import Resync
from nodeplug.host.watch import Changed, PathWatch
from support.needs import require


@pytest.fixture
async def watch() -> AsyncIterator[PathWatch]:
    async with PathWatch() as watch:
        yield watch


async def following(watch: PathWatch) -> Changed | Resync:
    """Return the next change."""
    return await anext(aiter(watch))


async def test_a_created_name_is_told(watch: PathWatch, tmp_path: Path) -> None:
    """A new file is a change of its name."""
    watch.add(tmp_path)
    (tmp_path / "a").touch()
    assert await following(watch) == Changed(tmp_path, "a")


async def test_what_was_written_is_told_where_that_is_asked_for(
    watch: PathWatch, tmp_path: Path
) -> None:
    """Once, when the writer closes the file."""
    (tmp_path / "a").touch()
    watch.add(tmp_path, written=True)
    (tmp_path / "a").write_text("new")
    (tmp_path / "b").touch()
    assert [await following(watch), await following(watch)] == [
        Changed(tmp_path, "a"),
        Changed(tmp_path, "b"),
    ]


async def test_what_was_written_is_told_nobody_else(watch: PathWatch, tmp_path: Path) -> None:
    """The kubelet writes its checkpoint in a directory that is watched for sockets."""
    (tmp_path / "a").touch()
    watch.add(tmp_path)
    (tmp_path / "a").write_text("new")
    (tmp_path / "c").touch()
    assert await following(watch) == Changed(tmp_path, "c")


async def test_a_deleted_name_is_told(watch: PathWatch, tmp_path: Path) -> None:
    """A removed file is a change of its name."""
    (tmp_path / "a").touch()
    watch.add(tmp_path)
    (tmp_path / "a").unlink()
    assert await following(watch) == Changed(tmp_path, "a")


async def test_a_move_is_told_under_both_names(watch: PathWatch, tmp_path: Path) -> None:
    """A rename is a change of the old name and of the new."""
    (tmp_path / "a").touch()
    watch.add(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert [await following(watch), await following(watch)] == [
        Changed(tmp_path, "a"),
        Changed(tmp_path, "b"),
    ]


async def test_changed_rights_are_told(watch: PathWatch, tmp_path: Path) -> None:
    """A chmod, as udev does it after the kernel's event, is a change."""
    (tmp_path / "a").touch()
    watch.add(tmp_path)
    (tmp_path / "a").chmod(0o600)
    assert await following(watch) == Changed(tmp_path, "a")


async def test_only_the_names_asked_for_are_told(watch: PathWatch, tmp_path: Path) -> None:
    """Noise from other names never reaches the reader."""
    watch.add(tmp_path, frozenset({"kubelet.sock"}))
    (tmp_path / "noise").touch()
    (tmp_path / "kubelet.sock").touch()
    assert await following(watch) == Changed(tmp_path, "kubelet.sock")


async def test_adding_again_replaces_the_names(watch: PathWatch, tmp_path: Path) -> None:
    """The last call says which names count."""
    watch.add(tmp_path, frozenset({"a"}))
    watch.add(tmp_path, frozenset({"b"}))
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    assert await following(watch) == Changed(tmp_path, "b")


async def test_a_removed_directory_is_told_no_more(watch: PathWatch, tmp_path: Path) -> None:
    """After remove, another directory's changes come and not its own."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        watch.add(tmp_path / name)
    watch.remove(tmp_path / "a")
    (tmp_path / "a/x").touch()
    (tmp_path / "b/x").touch()
    assert await following(watch) == Changed(tmp_path / "b", "x")


async def test_no_watch_is_left_when_all_directories_are_removed(
    watch: PathWatch, tmp_path: Path
) -> None:
    """The kernel's watches, which are limited, go with the directories."""
    watch.add(tmp_path / "a/b")
    watch.add(tmp_path)
    watch.remove(tmp_path)
    watch.remove(tmp_path / "a/b")
    assert watches_of(watch) == 0


def watches_of(watch: PathWatch) -> int:
    """Return how many watches the kernel keeps."""
    assert watch._inotify is not None
    return Path(f"/proc/self/fdinfo/{watch._inotify.fd}").read_text().count("inotify wd")


async def test_a_directory_moved_away_again_and_again_costs_nothing(
    watch: PathWatch, tmp_path: Path
) -> None:
    """The kernel's watches, which are limited, do not stay with what was moved away."""
    directory = tmp_path / "a"
    directory.mkdir()
    watch.add(directory)
    before = watches_of(watch)
    for number in range(5):
        directory.rename(tmp_path / f"old{number}")
        await following(watch)
        directory.mkdir()
        await following(watch)
    assert watches_of(watch) == before


async def test_a_directory_within_a_watched_one_is_told_by_both(
    watch: PathWatch, tmp_path: Path
) -> None:
    """A new directory is a change where it appears, and a resync where it was waited for."""
    watch.add(tmp_path)
    watch.add(tmp_path / "a")
    (tmp_path / "a").mkdir()
    told = [await following(watch)]
    (tmp_path / "a/x").touch()
    told.append(await following(watch))
    assert told == [Resync(), Changed(tmp_path / "a", "x")]


async def test_watching_a_directory_within_takes_nothing_from_the_outer(
    watch: PathWatch, tmp_path: Path
) -> None:
    """The outer one, now also a step to the inner, is still told of changed rights."""
    (tmp_path / "x").touch()
    watch.add(tmp_path)
    watch.add(tmp_path / "a")
    (tmp_path / "x").chmod(0o600)
    assert await following(watch) == Changed(tmp_path, "x")


async def test_a_directory_below_one_that_may_not_be_read_is_watched(watch: PathWatch) -> None:
    """A step that this user may only pass does not hide what is below it."""
    require(os.geteuid() == 0, "changing the user needs root")
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "a"
        directory.mkdir()
        Path(place).chmod(0o711)
        os.seteuid(65534)
        try:
            watch.add(directory)
        finally:
            os.seteuid(0)
        (directory / "x").touch()
        assert await following(watch) == Changed(directory, "x")


async def test_a_directory_that_appears_is_a_resync(watch: PathWatch, tmp_path: Path) -> None:
    """A directory made with all its parents after the start is watched from then on."""
    directory = tmp_path / "a/b/c"
    watch.add(directory)
    directory.mkdir(parents=True)
    assert await following(watch) == Resync()
    (directory / "x").touch()
    assert await following(watch) == Changed(directory, "x")


async def test_a_directory_deleted_and_made_again_is_a_resync(
    watch: PathWatch, tmp_path: Path
) -> None:
    """Though the path looks the same when read, the new directory is the one watched."""
    directory = tmp_path / "a"
    directory.mkdir()
    watch.add(directory)
    directory.rmdir()
    directory.mkdir()
    assert await following(watch) == Resync()
    (directory / "x").touch()
    assert await following(watch) == Changed(directory, "x")


async def test_a_deleted_directory_is_told_though_a_process_sits_in_it(
    watch: PathWatch, tmp_path: Path
) -> None:
    """The kernel keeps silent on the directory's own watch while it is open somewhere."""
    directory = tmp_path / "a"
    directory.mkdir()
    watch.add(directory)
    held = os.open(directory, os.O_RDONLY)
    try:
        directory.rmdir()
        assert await following(watch) == Resync()
    finally:
        os.close(held)


@pytest.mark.parametrize("moved", ["a", "a/b"])
async def test_a_directory_moved_away_is_a_resync(
    watch: PathWatch, tmp_path: Path, moved: str
) -> None:
    """Whether it or a parent is renamed, the path leads nowhere now."""
    (tmp_path / "a/b").mkdir(parents=True)
    watch.add(tmp_path / "a/b")
    (tmp_path / moved).rename(tmp_path / "elsewhere")
    assert await following(watch) == Resync()


async def test_a_directory_moved_away_is_not_watched_at_its_new_place(
    watch: PathWatch, tmp_path: Path
) -> None:
    """What happens in it under its new name is nobody's business."""
    directory = tmp_path / "a"
    directory.mkdir()
    watch.add(directory)
    directory.rename(tmp_path / "elsewhere")
    await following(watch)
    (tmp_path / "elsewhere/x").touch()
    directory.mkdir()
    assert await following(watch) == Resync()


async def test_a_link_turned_elsewhere_is_a_resync(watch: PathWatch, tmp_path: Path) -> None:
    """A link on the way that leads to another directory makes that the watched one."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("old")
    watch.add(tmp_path / "link")
    (tmp_path / "temporary").symlink_to("new")
    (tmp_path / "temporary").rename(tmp_path / "link")
    assert await following(watch) == Resync()
    (tmp_path / "new/x").touch()
    assert await following(watch) == Changed(tmp_path / "link", "x")


async def test_two_paths_to_one_directory_are_both_told(watch: PathWatch, tmp_path: Path) -> None:
    """A directory and a link to it are watched as two."""
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    watch.add(tmp_path / "a")
    watch.add(tmp_path / "link")
    (tmp_path / "a/x").touch()
    told = {await following(watch), await following(watch)}
    assert told == {Changed(tmp_path / "a", "x"), Changed(tmp_path / "link", "x")}


async def test_a_reader_that_gives_up_waiting_loses_nothing(
    watch: PathWatch, tmp_path: Path
) -> None:
    """A wait with a timeout can be repeated."""
    watch.add(tmp_path)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await following(watch)
    (tmp_path / "a").touch()
    assert await following(watch) == Changed(tmp_path, "a")


async def test_a_relative_path_is_refused(watch: PathWatch) -> None:
    """A path that depends on the working directory cannot be followed."""
    with pytest.raises(ValueError, match="relative"):
        watch.add(Path("a"))


async def test_leaving_ends_the_iteration(tmp_path: Path) -> None:
    """An iteration that outlives its context ends instead of waiting for ever."""
    async with PathWatch() as watch:
        watch.add(tmp_path)
    assert [change async for change in watch] == []


async def test_what_python_has_closed_at_its_end_is_closed_in_order(tmp_path: Path) -> None:
    """A thread that watches may be done later than the interpreter."""
    async with PathWatch() as watch:
        watch.add(tmp_path)
        assert watch._inotify is not None
        watch._inotify.close()
