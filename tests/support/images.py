"""The Containerfile, stage by stage."""

import re
from typing import NamedTuple

import pytest

from support.repository import PLUGINS, ROOT

IMAGES = ROOT / "images"
TARGETS = {folder.name.replace("_", "-"): [folder.name] for folder in PLUGINS} | {
    "all": [folder.name for folder in PLUGINS]
}
each_target = pytest.mark.parametrize("target", TARGETS)


class Stage(NamedTuple):
    base: str
    lines: list[str]

    def of(self, word: str) -> list[str]:
        """Return the arguments of every instruction of a kind."""
        return [line.partition(" ")[2] for line in self.lines if line.startswith(f"{word} ")]


def stages() -> dict[str, Stage]:
    """Return the stages by name, with each instruction on one line."""
    text = (IMAGES / "Containerfile").read_text().replace("\\\n", " ")
    found: dict[str, Stage] = {}
    for line in text.splitlines():
        if begins := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            found[begins[2]] = stage = Stage(begins[1], [])
        elif found and line and not line.startswith("#"):
            stage.lines.append(" ".join(line.split()))
    return found
