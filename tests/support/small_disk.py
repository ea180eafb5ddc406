"""Disks that can be full."""

import errno
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.mounts import mounted

# Room for what a kubelet and an agent write; as much again is filled in no time.
_OPTIONS = "size=1m,nr_inodes=1k,mode=700"
_BLOCK = bytes(4096)


@contextmanager
def small_disks(*folders: Path) -> Iterator["SmallDisks"]:
    """Mount an empty disk over each folder; needs `can_mount_in_namespace`."""
    with ExitStack() as mounts:
        for folder in folders:
            mounts.enter_context(mounted("tmpfs", folder, _OPTIONS))
        yield SmallDisks(folders)


class SmallDisks:
    """Disks with an end that is near; `are_full` says whether it is reached."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.are_full = False
        self._folders = folders

    @contextmanager
    def full(self, *, of_files: bool = False) -> Iterator[None]:
        """Leave no byte free, and with `of_files` no room for one more file, link or socket."""
        self.are_full = True
        ballast = [folder / ".ballast" for folder in self._folders]
        for place in ballast:
            place.mkdir()
            _fill(place, of_files=of_files)
        try:
            yield
        finally:
            for place in ballast:
                _empty(place)
            self.are_full = False


def _fill(place: Path, *, of_files: bool) -> None:
    with (place / "bytes").open("wb", buffering=0) as file:
        _until_full(lambda _: file.write(_BLOCK))
    if of_files:
        _until_full(lambda number: (place / str(number)).touch())


def _until_full(write: Callable[[int], object]) -> None:
    try:
        for number in itertools.count():
            write(number)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def _empty(place: Path) -> None:
    for file in place.iterdir():
        file.unlink()
    place.rmdir()
