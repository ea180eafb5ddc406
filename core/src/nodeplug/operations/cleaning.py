"""Removing what nodeplug left on a host: what is ours by name or on record, and nothing else."""

import json
import shutil
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

from nodeplug.config.settings import CDI_DIR, FEATURE_DIR, LEDGER_DIR, PLUGIN_DIR, PLUGIN_REGISTRY
from nodeplug.host.root import HostRoot

# Hidden ones are what writers that were killed left behind.
LEFT = (
    f"{PLUGIN_DIR}/.nodeplug*",
    f"{PLUGIN_REGISTRY}/nodeplug",
    LEDGER_DIR,
    f"{CDI_DIR}/nodeplug-*",
    f"{CDI_DIR}/.nodeplug-*",
    f"{FEATURE_DIR}/nodeplug-*",
    f"{FEATURE_DIR}/.nodeplug-*",
)
RECORDS = f"{PLUGIN_DIR}/.nodeplug/host-files"


class Cleaner:
    """Cleans a host. `notes` tells what to see to, `troubles` what could not be removed."""

    def __init__(self, root: HostRoot) -> None:
        self._root = root
        self.removed: list[str] = []
        self.notes: list[str] = []
        self.troubles: list[str] = []

    def clean(self) -> None:
        """Remove everything; what cannot be removed does not keep the rest."""
        for path in self._recorded():
            self._remove_recorded(path)
        if not self.troubles:  # else the records are needed once more
            for pattern in LEFT:
                self._remove(pattern, _remove)

    def _recorded(self) -> Iterator[str]:
        for record in sorted(self._root.find(RECORDS).glob("*.json")):
            try:
                yield from map(str, json.loads(record.read_bytes()))
            except (OSError, ValueError, TypeError) as error:
                self.notes.append(f"{self._root.to_host(record)}: cannot be read: {error}")

    def _remove_recorded(self, path: str) -> None:
        folder, _, name = path.rpartition("/")
        if not self._root.find(folder).is_dir():
            self.notes.append(f"{path}: not below a folder of the host that is seen here")
        for pattern in (escape(name), f".{escape(name)}.*") if name else ():
            self._remove(f"{folder}/{pattern}", Path.unlink)

    def _remove(self, pattern: str, remove: Callable[[Path], None]) -> None:
        folder, _, name = pattern.rpartition("/")
        for path in _matches(self._root.find(folder), name):
            try:
                remove(path)
                self.removed.append(self._root.to_host(path))
            except OSError as error:
                self.troubles.append(f"{self._root.to_host(path)}: {error.strerror}")


def _matches(folder: Path, pattern: str) -> list[Path]:
    """Return what is in a folder and matches; also links that lead nowhere."""
    try:
        return sorted(path for path in folder.iterdir() if fnmatchcase(path.name, pattern))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _remove(path: Path) -> None:
    """Remove a file, or a folder with what is in it; no link is followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
