"""What is judged, and the directories that it meets."""

from pathlib import Path
from typing import NamedTuple

DIR, REGISTRY = "{dir}", "{registry}"


class Subject(NamedTuple):
    """A plugin: the `command` that starts it, or the `socket` of one that runs.

    `patience` is how many seconds it may take to register. `change` is a command after which the
    plugin must tell of other devices, `undo` one after which all is as before; both may be empty.
    """

    command: str = ""
    socket: Path | None = None
    patience: float = 10.0
    change: str = ""
    undo: str = ""


class Places(NamedTuple):
    """The kubelet's directories: for device plugins, and for plugins that it finds."""

    directory: Path
    registry: Path

    def fill(self, word: str) -> str:
        """Return a word of a command with the directories in the place of `{dir}`, `{registry}`."""
        return word.replace(DIR, str(self.directory)).replace(REGISTRY, str(self.registry))
