"""Which devices the CDI specifications on the host know."""

import re
from pathlib import Path
from typing import Final

from nodeplug.host.root import HostRoot
from nodeplug.host.shortage import refuse_shortage
from nodeplug_nvidia_gpu.settings import CdiSettings

# Specifications are JSON or YAML; of either, lines of this form are all that matters here.
_KIND: Final = re.compile(r"""^[\s{,]*["']?kind["']?\s*:\s*["']?([^"'\s,}]+)""", re.MULTILINE)
_NAME: Final = re.compile(r"""(?:^|[\s{,-])["']?name["']?\s*:\s*["']?([A-Za-z0-9_.:-]+)""")
_LARGEST: Final = 4 << 20

_Stamp = tuple[int, int, int]


class SpecReader:
    """Reads the names of one kind; files that have not changed are not read again."""

    def __init__(self, root: HostRoot, settings: CdiSettings) -> None:
        self._root = root
        self._settings = settings
        self._read: dict[Path, tuple[_Stamp, frozenset[str]]] = {}

    def names(self) -> frozenset[str]:
        """Return the names of all devices that specifications of the kind have."""
        before, self._read = self._read, {}
        for folder in self._settings.spec_dirs:
            for file in self._files(folder):
                self._add(file, before)
        return frozenset().union(*(names for _, names in self._read.values()))

    def _files(self, folder: str) -> list[Path]:
        try:
            place = self._root.find(folder)
            return [each for each in place.iterdir() if each.suffix in {".json", ".yaml", ".yml"}]
        except OSError as error:
            refuse_shortage(error)
            return []

    def _add(self, file: Path, before: dict[Path, tuple[_Stamp, frozenset[str]]]) -> None:
        try:
            found = file.stat()
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            known = before.get(file)
            if known is None or known[0] != stamp:
                text = file.read_text(errors="replace") if found.st_size < _LARGEST else ""
                known = stamp, self._names(text)
            self._read[file] = known
        except OSError as error:
            refuse_shortage(error)

    def _names(self, text: str) -> frozenset[str]:
        kind = _KIND.search(text)
        if kind is None or kind[1] != self._settings.kind:
            return frozenset()
        return frozenset(_NAME.findall(text))
