"""Our own sub-directory of a directory of the kubelet, and the sockets in it.

The kubelet's sweep of its device plugin directory removes sockets from the top level only (R5), so
what is bound here survives. The leading dot keeps the sub-directory out of the kubelet's list of
checkpoints. In the plugin registry, where names with a dot are overlooked (R72), it has none.
"""

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from nodeplug.host.disk import Disk
from nodeplug.host.files import FileLock, remove_quietly
from nodeplug.values.errors import KubeletDirectoryError

HOME = ".nodeplug"
REGISTRY_HOME = "nodeplug"
KUBELET_SOCKET = "kubelet.sock"
# The size of sun_path less its terminating NUL (unix(7), R13).
_PATH_LIMIT = 107
_INSTANCE = re.compile(r"[0-9a-f]{8}")
_LONGEST_ENDPOINT = f"{HOME}/01234567/99999-99999.sock"


class SocketDirectory:
    """The directory `.nodeplug/<instance>` with a lock held for this process's life.

    What says that it blocks is to be called on its `disk`, as all that touches the `plugin_dir`;
    `name` is what `fallbacks` calls that.
    """

    def __init__(
        self, plugin_dir: Path, home: str = HOME, name: str = "the kubelet's directory"
    ) -> None:
        self.disk = Disk(name)
        self.plugin_dir = plugin_dir
        self._all = plugin_dir / home
        self._instance = os.urandom(4).hex()
        self._numbers = itertools.count(1)
        self._lock = FileLock(self._home / "lock")

    @property
    def _home(self) -> Path:
        return self._all / self._instance

    def open(self) -> None:
        """Make the directory, or make it anew; sweep what dead instances left. Blocks.

        Raises KubeletDirectoryError naming path and remedy.
        """
        check_plugin_dir(self.plugin_dir)
        while not self._lock.held_here_is_current():
            self._make()
            check_plugin_dir(self.plugin_dir)
        self._sweep()

    def _make(self) -> None:
        self._lock.release()
        try:
            self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.try_acquire()
        except (FileNotFoundError, FileExistsError):
            return  # another agent's sweep was faster than the lock
        except OSError as error:
            raise KubeletDirectoryError(
                f"{self.plugin_dir}: cannot create {self._all.name} in it: {error.strerror}; "
                "run as root with the directory mounted read-write"
            ) from error

    def new_path(self) -> Path:
        """Return a path never used before, for a server to bind."""
        return self._home / f".{next(self._numbers)}.sock"

    def new_link(self, bound: Path, previous: Path) -> Path:
        """Return a fresh hard link to a bound socket; the socket itself where none can be made.

        Blocks. R15: every registration wants a path of its own. R77: the previous one goes before,
        or up to 1.36 a kubelet that looks between the two drops the new one for its end.
        """
        number = bound.stem.lstrip(".").partition("-")[0]
        link = self._home / f"{number}-{next(self._numbers)}.sock"
        hidden = link.with_name(f".{link.name}")
        try:
            os.link(bound, hidden)
        except OSError:
            return bound
        if not previous.name.startswith("."):
            remove_quietly(previous)
        hidden.rename(link)
        return link

    def endpoint(self, path: Path) -> str:
        """Return the path as the kubelet wants it: relative to its directory (R13)."""
        return str(path.relative_to(self.plugin_dir))

    def close(self) -> None:
        """Remove the directory with all that is ours in it. Blocks."""
        _clear(self._home)
        self._lock.release()

    def _sweep(self) -> None:
        for held in instance_locks(self._all):
            lock = FileLock(held)
            with suppress(OSError):  # what is no lock is not of us
                if held.parent != self._home and lock.try_acquire():
                    _clear(held.parent)
                    lock.release()


def instance_locks(home: Path) -> Iterator[Path]:
    """Yield the locks of all instances in our own sub-directory, of living and of dead ones."""
    for lock in sorted(home.glob("*/lock")):
        if _INSTANCE.fullmatch(lock.parent.name):
            yield lock


def check_length(plugin_dir: Path) -> None:
    """Raise KubeletDirectoryError if socket paths in the directory would be too long."""
    longest = len(os.fsencode(plugin_dir / _LONGEST_ENDPOINT))
    if longest > _PATH_LIMIT:
        raise KubeletDirectoryError(
            f"{plugin_dir}: socket paths in it would take {longest} bytes, the limit is "
            f"{_PATH_LIMIT}; choose a directory whose path is {longest - _PATH_LIMIT} shorter"
        )


def check_plugin_dir(plugin_dir: Path) -> None:
    """Raise KubeletDirectoryError unless the directory can hold our sockets."""
    check_length(plugin_dir)
    if not plugin_dir.is_dir():
        raise KubeletDirectoryError(
            f"{plugin_dir}: no such directory; is a kubelet on this host, and is its "
            f"{plugin_dir.name} directory mounted here?"
        )
    if plugin_dir.stat().st_nlink == 0:
        raise KubeletDirectoryError(
            f"{plugin_dir}: was deleted and made anew outside this mount; restart to mount it again"
        )


def _clear(directory: Path) -> None:
    try:
        entries = list(directory.iterdir())
    except OSError:
        return
    for entry in entries:
        remove_quietly(entry)
    try:
        directory.rmdir()
    except OSError:
        return
