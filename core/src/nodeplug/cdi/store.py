"""The specification files in the container runtime's directory."""

import json
import logging
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from stat import S_IMODE

from nodeplug.cdi.spec import Entry, entry_of, kind_of, specification, written
from nodeplug.holdings import Key
from nodeplug.host.files import make_folders, remove_quietly, write_atomically
from nodeplug.host.root import HostRoot
from nodeplug.offers import Offer

_log = logging.getLogger("nodeplug.cdi")
_HERE = HostRoot(Path("/"))
# udev sets mode and group after the kernel has made a node.
_SETTLED_SECONDS = 10.0

InUse = Mapping[str, Collection[str]] | None
"""By resource the devices that containers may hold; None where that is not known."""


class SpecStore:
    """Brings the files of one backend in line with its offers.

    A file per resource, named after backend and kind, so that agents beside this one keep theirs.
    With a `ledger` only what is noted there is removed: another agent may have the same backend.
    Nodes have the mode and group that they have below `root`; `unsettled` says that some have these
    since a moment ago only, and may be given others.
    """

    def __init__(
        self, folder: Path, backend: str, ledger: Path | None = None, root: HostRoot = _HERE
    ) -> None:
        self._folder = folder
        self._backend = backend
        self._ledger = ledger
        self._root = root
        self.unsettled = False

    def reconcile(self, offers: Mapping[str, Offer], in_use: InUse) -> dict[Key, str]:
        """Write what is offered through CDI, remove what nothing can need any more.

        Return by resource and device why a file could not be written, for those that no file
        describes as they are; the others are in place. Call it before a list that shows the
        devices. It waits for the disk.
        """
        held = None if in_use is None else {kind_of(name): ids for name, ids in in_use.items()}
        failures: dict[Key, str] = {}
        wanted: dict[Path, Offer] = {}
        for name, offer in offers.items():
            if offer.inject != "devices":
                wanted[self._folder / _file_name(self._backend, kind_of(name))] = offer
        known = self._known()
        self._note({*known, *wanted}, known, failures)
        for file, offer in wanted.items():
            try:
                self._write(file, offer, held)
            except OSError as error:
                lacking = self._lacking(_read(file), offer)
                failures |= dict.fromkeys(lacking, f"{file}: {error.strerror}")
                _log.error("specification not written", extra={"nodeplug": {"error": str(error)}})
        idle = {file for file in known - wanted.keys() if not _needed(_read(file), held)}
        for file in idle:
            remove_quietly(file)
        self._note({*known, *wanted} - idle, {*known, *wanted}, failures)
        return failures

    def _known(self) -> set[Path]:
        if self._ledger is None:
            return set(files_of(self._folder, self._backend))
        return {self._folder / Path(name).name for name in _read(self._ledger)}

    def _note(
        self, files: Collection[Path], noted: Collection[Path], failures: dict[Key, str]
    ) -> None:
        if self._ledger is None or files == noted:
            return
        data = json.dumps(dict.fromkeys(sorted(file.name for file in files))).encode()
        try:
            self._ledger.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self._ledger, data)
        except OSError as error:
            failures["", ""] = f"{self._ledger}: {error.strerror}"

    def _write(self, file: Path, offer: Offer, held: InUse) -> None:
        entries = self._entries(offer)
        for entry in _needed(_read(file), held):
            entries[entry["name"]] = _completed(entries.get(entry["name"]), entry)
        listed = [entry for entry in entries.values() if entry is not None]
        if not listed:
            remove_quietly(file)
            return
        data = written(self._specification(offer, listed))
        if not file.exists() or file.read_bytes() != data:
            make_folders(self._folder)
            write_atomically(file, data, mode=0o644)

    def _lacking(self, spec: Entry, offer: Offer) -> Iterator[Key]:
        found = {entry["name"]: entry for entry in _needed(spec, None)}
        common = self._specification(offer, ())
        stands = spec.get("containerEdits") == common.get("containerEdits")
        for device_id, entry in self._entries(offer).items():
            if not stands or found.get(device_id) != entry:
                yield offer.resource, device_id

    def _entries(self, offer: Offer) -> dict[str, Entry | None]:
        devices = {each.device.id: each.device for each in offer.devices}
        entries = {i: entry_of(each, offer.edits) for i, each in devices.items()}
        for entry in entries.values():
            self._complete(entry)
        return entries

    def _specification(self, offer: Offer, entries: Iterable[Entry]) -> Entry:
        spec = specification(offer.resource, entries, offer.edits)
        self._complete(spec)
        return spec

    def _complete(self, entry: Entry | None) -> None:
        """Let nodes have the mode and group of the host: not all runtimes look themselves."""
        for node in (entry or {}).get("containerEdits", {}).get("deviceNodes", ()):
            with suppress(OSError, ValueError):
                facts = self._root.find(node["hostPath"]).stat()
                node["fileMode"] = S_IMODE(facts.st_mode)
                if facts.st_gid:
                    node["gid"] = facts.st_gid
                self.unsettled |= 0 <= time.time() - facts.st_ctime < _SETTLED_SECONDS


def files_of(folder: Path, backend: str) -> Iterator[Path]:
    """Yield the files of a backend: those of another whose name begins alike are none of them."""
    for file in sorted(folder.glob(f"{_file_name(backend, 'nodeplug.*')}")):
        kind = str(_read(file).get("kind", ""))
        if not kind or file.name == _file_name(backend, kind):
            yield file


def _file_name(backend: str, kind: str) -> str:
    return f"nodeplug-{backend}-{kind.replace('/', '_')}.json"


def nodes_of(folder: Path) -> Mapping[str, frozenset[str]]:
    """Return the host paths of the nodes of each CDI device, by its full name. Blocks.

    Of JSON files only, of whatever vendor; what a file says of all its devices is left out.
    """
    found: dict[str, frozenset[str]] = {}
    for file in sorted(folder.glob("*.json")):
        spec = _read(file)
        for entry in _needed(spec, None):
            edits = entry.get("containerEdits")
            nodes = edits.get("deviceNodes") if isinstance(edits, dict) else None
            paths = {_host_path(node) for node in nodes} if isinstance(nodes, list) else set()
            found[f"{spec.get('kind')}={entry['name']}"] = frozenset(paths - {""})
    return found


def _host_path(node: object) -> str:
    path = (node.get("hostPath") or node.get("path")) if isinstance(node, dict) else ""
    return path if isinstance(path, str) and path.startswith("/") else ""


def _completed(now: Entry | None, before: Entry) -> Entry:
    """Return an entry with the environment that containers have by it: once it was in there."""
    edits = before.get("containerEdits")
    env = edits.get("env") if isinstance(edits, dict) else None
    if now is None or not env:
        return now or before
    return {**now, "containerEdits": {**now["containerEdits"], "env": env}}


def _needed(spec: Entry, held: InUse) -> list[Entry]:
    found = spec.get("devices")
    listed = found if isinstance(found, list) else ()
    entries = [entry for entry in listed if isinstance(entry, dict) and _is_named(entry)]
    if held is None:
        return entries
    return [entry for entry in entries if entry["name"] in held.get(str(spec.get("kind")), ())]


def _is_named(entry: Entry) -> bool:
    return isinstance(entry.get("name"), str)


def _read(file: Path) -> Entry:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
