"""Which thing has which id, which things belong together and which are marked, whatever comes.

Backends say what is there; what was seen before decides. It is kept in a file, for it must be the
same after a restart of the agent and of the host.
"""

import json
import logging
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from nodeplug.host.fallbacks import fall_back, recover
from nodeplug.host.files import write_atomically
from nodeplug.values.device import ID_LIMIT

_WHAT = "ids of devices"

_log = logging.getLogger("nodeplug.host")

# A host that makes and removes things for ever must not fill the memory.
_GONE_LIMIT: Final = 1000
_FILE_LIMIT: Final = 16 << 20
# A write that takes longer is left to itself.
_PATIENCE_SECONDS: Final = 1.0
_NUMBER: Final = re.compile(r"([0-9]+)")


class Claim(NamedTuple):
    """A thing that is there, and what it would be called.

    `identity` tells it from every other of its scope. `names` are tried in order, short to long;
    they are asked for only if the thing is new. Where all are another's, a number follows the last.

    `kin` is what stays of a thing whose identity may change, as its serial number does at another
    port; things that only their identities tell apart have the same. A newcomer takes the place,
    and the id, of one of its kin that is gone. Where the `ordered` come back, they do so in their
    order, as parts of one device do. Others do only if there never were two: once there were, or
    if several are new at once, each gets a name that is not the first.
    """

    identity: str
    names: Iterable[str]
    kin: str = ""
    ordered: bool = False


class Known(NamedTuple):
    """What is remembered of a thing."""

    id: str
    kin: str = ""


Group = tuple[str, ...]


class _Thing(msgspec.Struct):
    identity: str
    id: str
    kin: str = ""


class _Document(msgspec.Struct):
    things: dict[str, list[_Thing]] = {}
    groups: dict[str, list[Group]] = {}
    marks: dict[str, list[str]] = {}


# Makes what `convert` needs: two threads that do so at once crash msgspec 0.20.
msgspec.json.Decoder(_Document)


class Identities:
    """The memory of ids, groups and marks, for all backends.

    Each of them uses scopes that begin with its name.

    Without a file it lasts as long as the process; one that does not write is what a command has
    beside the agent. The methods block, and any thread may call
    them. Nobody's memory depends on the disk: where it cannot be written, that is logged once.
    """

    def __init__(self, file: Path | None = None, *, writes: bool = True) -> None:
        self._disk = _Disk(file, self._content) if file else None
        self._writes = writes
        self._lock = threading.Lock()
        self._loaded = False
        self._lasting: dict[str, dict[str, Known]] = {}
        self._passing: dict[str, dict[str, Known]] = {}
        self._groups: dict[str, list[Group]] = {}
        self._marks: dict[str, list[str]] = {}

    def assign(self, scope: str, wanted: Sequence[Claim], *, lasting: bool = True) -> list[str]:
        """Return the ids of all things of a scope that are there, in their order.

        A thing has the id that it had; no two have the same. One that is gone and comes back has
        its former id: the last 1,000 gone are remembered. Not `lasting` are things that are known
        only while they are there: what is gone is forgotten, and the file does not have them.
        """
        present: dict[str, Claim] = {}
        for claim in wanted:
            present.setdefault(claim.identity, claim)
        with self._lock:
            self._load()
            known = (self._lasting if lasting else self._passing).setdefault(scope, {})
            before = dict(known)
            _forget(known, present, _GONE_LIMIT if lasting else 0)
            _welcome(known, present)
            ids = [known[claim.identity].id for claim in wanted]
            changed = known != before
        self._keep(changed=changed and lasting)
        return ids

    def groups(
        self, scope: str, columns: Sequence[Sequence[str]], optional: Collection[int] = ()
    ) -> list[Group]:
        """Return which things belong together: one of each column, "" where an optional is none.

        Things that are free are put together in their order. What once was together stays so, and
        is returned while any of it is there; 1,000 groups that lack something are remembered.
        Where all are optional, columns without anything do not count.
        """
        with self._lock:
            self._load()
            rows = [row for row in self._groups.get(scope, ()) if len(row) == len(columns)]
            grouped = _grouped(rows, columns, optional)
            self._groups[scope] = grouped
            changed = grouped != rows
        self._keep(changed=changed)
        present = {each for column in columns for each in column}
        return [row for row in grouped if not present.isdisjoint(row)]

    def marks(
        self, scope: str, marked: Collection[str], unmarked: Collection[str]
    ) -> frozenset[str]:
        """Return which things bear a mark: those that do now, or did when that was last known.

        Of what is in neither collection that is not known now; 1,000 marks are remembered.
        """
        with self._lock:
            self._load()
            before = self._marks.get(scope, [])
            others = [each for each in before if each not in marked and each not in unmarked]
            now = [*others, *sorted(marked)][-_GONE_LIMIT:]
            self._marks[scope] = now
            changed = set(now) != set(before)
        self._keep(changed=changed)
        return frozenset(now)

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        document = self._disk.read() if self._disk else _Document()
        self._groups, self._marks = document.groups, document.marks
        for scope, things in document.things.items():
            known = self._lasting.setdefault(scope, {})
            ids: set[str] = set()
            for each in things:
                if each.id and each.id not in ids:
                    ids.add(each.id)
                    known[each.identity] = Known(each.id, each.kin)

    def _keep(self, *, changed: bool) -> None:
        if self._disk and self._writes:
            self._disk.keep(changed=changed)

    def _content(self) -> bytes:
        with self._lock:
            things = {
                scope: [_Thing(identity, *each) for identity, each in known.items()]
                for scope, known in self._lasting.items()
            }
            document = msgspec.to_builtins(_Document(things, self._groups, self._marks))
        # Names of files may be no Unicode; json, unlike msgspec, has a way to write them.
        return json.dumps(document).encode()


def natural(text: str) -> tuple[list[tuple[int, str]], str]:
    """Return a key to sort texts by in which numbers are compared as numbers."""
    parts = [part.lstrip("0") for part in _NUMBER.split(text)]
    return [(len(part) if n % 2 else 0, part) for n, part in enumerate(parts)], text


def _welcome(known: dict[str, Known], present: Mapping[str, Claim]) -> None:
    """Give each thing that is new an id: that of a kinsman who is gone, or a fresh one."""
    new = sorted((identity for identity in present if identity not in known), key=natural)
    if not new:
        return
    _succeed(known, present, new)
    kin = Counter(each.kin for each in known.values())
    fresh = [present[identity] for identity in new if identity not in known]
    kin.update(claim.kin for claim in fresh)
    used = {each.id for each in known.values()}
    for claim in fresh:
        alone = claim.ordered or not claim.kin or kin[claim.kin] == 1
        unique_id = next(each for each in _names(claim, alone=alone) if each not in used)
        used.add(unique_id)
        known[claim.identity] = Known(unique_id, claim.kin)


def _succeed(known: dict[str, Known], present: Mapping[str, Claim], new: Sequence[str]) -> None:
    newcomers: dict[str, list[str]] = defaultdict(list)
    for identity in new:
        newcomers[present[identity].kin].append(identity)
    newcomers.pop("", None)
    kin: dict[str, list[str]] = defaultdict(list)
    for identity, each in known.items():
        if each.kin in newcomers:
            kin[each.kin].append(identity)
    for name, former in kin.items():
        heirs = newcomers[name]
        gone = sorted((identity for identity in former if identity not in present), key=natural)
        if present[heirs[0]].ordered or len(former) == len(heirs) == 1:
            for old, heir in zip(gone, heirs, strict=False):
                known[heir] = known.pop(old)


def _names(claim: Claim, *, alone: bool) -> Iterator[str]:
    names = iter(claim.names)
    last = next(names)
    if alone:
        yield last
    for name in names:
        yield (last := name)
    for number in count(2):
        yield f"{last[: ID_LIMIT - len(str(number)) - 1]}-{number}"


def _forget(known: dict[str, Known], present: Collection[str], limit: int) -> None:
    """Put what is present behind what is gone; of that, keep the last."""
    still = [identity for identity in present if identity in known]
    for identity in still:
        known[identity] = known.pop(identity)
    for identity in [*known][: max(0, len(known) - len(still) - limit)]:
        del known[identity]


def _grouped(
    rows: Sequence[Group], columns: Sequence[Sequence[str]], optional: Collection[int]
) -> list[Group]:
    needed = [number for number in range(len(columns)) if number not in optional]
    if not needed:
        return _loose(rows, columns)
    free = _distinct([columns[number] for number in needed], {each for row in rows for each in row})
    fresh = [dict(zip(needed, members, strict=True)) for members in zip(*free, strict=False)]
    grouped = [*rows, *(tuple(row.get(n, "") for n in range(len(columns))) for row in fresh)]
    there = [set(column) for column in columns]
    lacking = [row for row in grouped if any(row[n] not in there[n] for n in needed)]
    lost, incomplete = set(lacking[:-_GONE_LIMIT]), set(lacking)
    grouped = [row for row in grouped if row not in lost]
    for number in optional:
        _complete(grouped, incomplete, number, columns[number])
    return grouped


def _loose(rows: Sequence[Group], columns: Sequence[Sequence[str]]) -> list[Group]:
    there = {each for column in columns for each in column}
    gone = [row for row in rows if there.isdisjoint(row)]
    lost, empty = {*gone[:-_GONE_LIMIT]}, ("",) * len(columns)
    size = min((len(column) for column in columns if column), default=0)
    grouped = [row for row in rows if row not in lost]
    grouped += [empty] * (size - len(rows) + len(gone))
    for number, column in enumerate(columns):
        _complete(grouped, {*gone}, number, column)
    return [row for row in grouped if row != empty]


def _distinct(columns: Sequence[Sequence[str]], used: Collection[str]) -> list[list[str]]:
    """Return as many of each column, without what is used or stands in an earlier list."""
    free = [[each for each in column if each not in used] for column in columns]
    size = min(map(len, free), default=0)
    result: list[list[str]] = []
    taken: set[str] = set()
    for column in free:
        own = [each for each in column if each not in taken][:size]
        taken.update(own)
        result.append(own)
    return result


def _complete(
    rows: list[Group], incomplete: Collection[Group], number: int, column: Sequence[str]
) -> None:
    """Give the optional that are free to the groups that have none, in their order."""
    used = {each for row in rows for each in row}
    lacking = [n for n, row in enumerate(rows) if not row[number] and row not in incomplete]
    free = [each for each in column if each not in used]
    for place, member in zip(lacking, free, strict=False):
        rows[place] = (*rows[place][:number], member, *rows[place][number + 1 :])


class _Disk:
    """The file. It is written on a thread of its own, for a disk may hang."""

    def __init__(self, file: Path, content: Callable[[], bytes]) -> None:
        self._file = file
        self._content = content
        self._lock = threading.Lock()
        self._unsaved = False
        self._writer: threading.Thread | None = None
        self._late = False
        self._failed = False

    def read(self) -> _Document:
        """Return what was kept; nothing where there is no file that makes sense."""
        try:
            with self._file.open("rb") as file:
                data = file.read(_FILE_LIMIT)
            return msgspec.convert(json.loads(data), _Document)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, RecursionError, msgspec.MsgspecError) as error:
            facts = {"path": str(self._file), "error": str(error)}
            _log.warning("identities not read", extra={"nodeplug": facts})
        return _Document()

    def keep(self, *, changed: bool) -> None:
        """Write what has changed, or could not be written before; return after 1 s at most."""
        with self._lock:
            self._unsaved |= changed
            if not self._unsaved:
                return
            if self._writer is None:
                self._late = False
                self._writer = threading.Thread(target=self._write, name="identities", daemon=True)
                self._writer.start()
            writer, late = self._writer, self._late
        if not late:
            writer.join(_PATIENCE_SECONDS)
            self._tell_late(writer)

    def _tell_late(self, writer: threading.Thread) -> None:
        with self._lock:
            if self._writer is not writer:
                return
            self._late = True
        self._complain(f"the disk did not answer for {_PATIENCE_SECONDS:g} s")

    def _write(self) -> None:
        while self._is_unsaved():
            try:
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_atomically(self._file, self._content())
            except OSError as error:
                self._complain(str(error))
                with self._lock:
                    self._unsaved, self._writer = True, None
                return
            self._failed = False
            recover(_WHAT)

    def _is_unsaved(self) -> bool:
        """Return whether there is something to write, and take it for written."""
        with self._lock:
            unsaved, self._unsaved = self._unsaved, False
            if not unsaved:
                self._writer = None
        return unsaved

    def _complain(self, error: str) -> None:
        """Log once, until the file could be written, that it cannot."""
        if not self._failed:
            self._failed = True
            fall_back(_WHAT, "identities not kept", f"{self._file}: {error}")
