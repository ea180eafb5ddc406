"""Files that backends want on the host: written, kept, removed."""

import json
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path

from nodeplug.backend import HostFile
from nodeplug.host.files import make_folders, remove_quietly, write_atomically
from nodeplug.host.root import HostRoot

_log = logging.getLogger("nodeplug.host_files")

Owner = tuple[str, str]
"""The resource and device that a file belongs to, each perhaps empty."""


class HostFileStore:
    """Brings one backend's files in line with what it wants.

    The paths written are kept in a ledger, so that what an earlier agent wrote is removed too, and
    nothing else ever is.
    """

    def __init__(self, root: HostRoot, ledger: Path) -> None:
        self._root = root
        self._ledger = ledger

    def reconcile(
        self,
        wanted: Sequence[HostFile],
        in_use: Mapping[str, Collection[str]] | None,
        *,
        keep: bool = False,
    ) -> dict[Owner, str]:
        """Write what is wanted, remove what nothing can need any more; with `keep` nothing.

        `in_use` tells by resource which devices containers may hold; None where that is not known.
        Return by resource and device why a file could not be written: also because the ledger
        could not, for a file that would be new in it. It waits for the disk.
        """
        before = self._read()
        kept = {p: o for p, o in before.items() if keep or _needed(o, in_use)}
        owners = {file.path: (file.resource, file.device) for file in wanted}
        noted = {**before, **owners}
        refusal = self._remember(noted, before)
        known = before if refusal else owners
        failures = self._write([file for file in wanted if file.path in known])
        failures |= {owner: refusal for path, owner in owners.items() if path not in known}
        for path in before.keys() - kept.keys() - owners.keys():
            remove_quietly(self._place(path))
        self._remember({**kept, **owners}, before if refusal else noted)
        return failures

    def _write(self, wanted: Sequence[HostFile]) -> dict[Owner, str]:
        failures: dict[Owner, str] = {}
        find = cache(self._root.find)  # hundreds of files lie in one folder
        for file in wanted:
            folder, _, name = file.path.rpartition("/")
            path = find(folder) / name
            try:
                if _content(path) != file.data:
                    make_folders(path.parent)
                    write_atomically(path, file.data, mode=file.mode)
            except OSError as error:
                failures[file.resource, file.device] = f"{file.path}: {error.strerror}"
                _log.error("host file not written", extra={"nodeplug": {"error": str(error)}})
        return failures

    def _place(self, path: str) -> Path:
        """Return where the file itself is: links of its folder are followed, it is not."""
        folder, _, name = path.rpartition("/")
        return self._root.find(folder) / name

    def _read(self) -> dict[str, Owner]:
        try:
            entries = json.loads(self._ledger.read_bytes())
            return {str(path): (str(owner[0]), str(owner[1])) for path, owner in entries.items()}
        except (OSError, ValueError, AttributeError, IndexError, TypeError):
            return {}

    def _remember(self, owners: Mapping[str, Owner], noted: Mapping[str, Owner]) -> str:
        """Write the ledger unless that is noted; return why it was impossible, or empty."""
        try:
            if owners != noted:
                self._ledger.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_atomically(self._ledger, json.dumps(owners).encode())
        except OSError as error:
            _log.error("host files not noted", extra={"nodeplug": {"error": str(error)}})
            return f"{self._ledger}: {error.strerror}"
        return ""


def _content(path: Path) -> bytes | None:
    """Return what a file has in it; None where there is no file, or something else."""
    try:
        # Nothing is waited for, whatever else has the place.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:  # noqa: PTH123 - takes over the descriptor
            return file.read()
    except OSError:
        return None


def _needed(owner: Owner, in_use: Mapping[str, Collection[str]] | None) -> bool:
    resource, device = owner
    if not device:
        return False
    return in_use is None or device in in_use.get(resource, ())
