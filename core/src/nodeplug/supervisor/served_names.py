"""The names of resources that an installation has served, kept where they outlive the agent."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from nodeplug.host.files import write_atomically
from nodeplug.kubelet.sockets import HOME
from nodeplug.supervisor.installation import file_name


class ServedNames:
    """A file per installation in the kubelet's directory: backends by public name.

    A container restarts only while the resource it was given is served (R28), so a name stays
    served as long as a pod has devices under it. Another installation's names are left to it.
    """

    def __init__(self, plugin_dir: Path, installation: str) -> None:
        self._file = plugin_dir / HOME / "served-names" / f"{file_name(installation)}.json"

    def load(self) -> Mapping[str, str]:
        """Return what was saved last; nothing if there is no file that makes sense."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, str])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return {}

    def save(self, names: Mapping[str, str]) -> None:
        """Keep these names and no others; raise OSError."""
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self._file, msgspec.json.encode(names))
