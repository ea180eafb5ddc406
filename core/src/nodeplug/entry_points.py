"""Which backends are installed, read from the metadata that installers leave.

`importlib.metadata` does the same and more; it stays out because importing it costs a daemon
1.9 MiB for good (docs/decisions/0009).
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

_FILE = "entry_points.txt"


class EntryPoint(msgspec.Struct, frozen=True, order=True):
    """One name in an entry-point group, with the module it names and where it comes from."""

    name: str
    module: str
    distribution: str
    version: str

    @property
    def origin(self) -> str:
        """The distribution with its version, as operators know it."""
        return f"{self.distribution} {self.version}"


def entry_points(group: str) -> list[EntryPoint]:
    """Return the entry points of a group in all installed distributions, in order of name.

    Of one distribution found twice on the path, the first counts, as for imports.
    """
    found: dict[str, list[EntryPoint]] = {}
    for folder in dict.fromkeys(sys.path):
        for file in sorted(Path(folder or ".").glob(f"*.dist-info/{_FILE}")):
            distribution, _, version = file.parent.stem.partition("-")
            if distribution not in found:
                points = (
                    EntryPoint(name, module, distribution.replace("_", "-"), version)
                    for name, module in _read(file, group)
                )
                found[distribution] = list(points)
    return sorted(point for points in found.values() for point in points)


def _read(file: Path, group: str) -> Iterator[tuple[str, str]]:
    section = ""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("["):
            section = text.strip("[]")
        elif section == group and "=" in text:
            name, _, module = text.partition("=")
            yield name.strip(), module.strip()
