"""The kubelet's own sockets: how they appear, and how they outlive the process."""

import itertools
import stat
from pathlib import Path

import grpc.aio

from nodeplug.kubelet.target import target_of

_numbers = itertools.count(1)


def clean(directory: Path) -> None:
    """Make the directory, and remove whatever in it leads to a socket (R5).

    Sub-directories, other files and dangling links stay. Raises OSError where a removal fails;
    a kubelet does not start then.
    """
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    for entry in list(directory.iterdir()):
        if _is_socket(entry):
            entry.unlink(missing_ok=True)


def make_way(path: Path) -> None:
    """Remove the file of an earlier process, and make its directory (R85)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)


def _is_socket(entry: Path) -> bool:
    try:
        return stat.S_ISSOCK(entry.stat().st_mode)
    except OSError:
        return False


class BoundSocket:
    """A gRPC server's socket, whose file nothing but the next kubelet removes (R6).

    gRPC unlinks the path that it was given, when it stops; a process that is killed does not. So
    it is given a name of its own, and the file that everyone knows is another name of the same
    socket. Nothing happens to that one when the server stops.
    """

    def __init__(self, server: grpc.aio.Server, path: Path) -> None:
        self._path = path
        self._own = path.with_name(f".{next(_numbers)}")
        self._own.unlink(missing_ok=True)
        server.add_insecure_port(target_of(self._own))

    def create(self) -> None:
        """Let the file appear where none is, as from bind: one CREATE."""
        self._path.hardlink_to(self._own)
        self._own.unlink()

    def move_in(self) -> None:
        """Let the file appear by a rename, as that of pod resources does (R85)."""
        self._own.rename(self._path)
