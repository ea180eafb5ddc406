"""The names of resources that an installation has served, kept where they outlive the agent."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from nodeplug.host.disk import Disk
from nodeplug.host.files import write_atomically
from nodeplug.kubelet.sockets import HOME
from nodeplug.supervisor.installation import file_name

# Made before threads need it: two that make it at once crash msgspec.
_DECODER = msgspec.json.Decoder(dict[str, str])


class ServedNames:
    """A file per installation in the kubelet's directory: backends by public name.

    A container restarts only while the resource it was given is served (R28), so a name stays
    served as long as a pod has devices under it. Another installation's names are left to it.
    """

    def __init__(self, plugin_dir: Path, installation: str, disk: Disk) -> None:
        self._file = plugin_dir / HOME / "served-names" / f"{file_name(installation)}.json"
        self._disk = disk
        self._kept: Mapping[str, str] | None = None

    async def load(self) -> Mapping[str, str] | None:
        """Return what was saved last; nothing if there is no file that makes sense.

        None while the disk does not answer.
        """
        self._kept = await self._disk.ask(None, self._load)
        return self._kept

    async def save(self, names: Mapping[str, str]) -> None:
        """Keep these names and no others, once the former ones are known.

        Raises OSError, or TimeoutError; then they are to be saved again.
        """
        if self._kept is None or self._kept == names:
            return
        await self._disk.call(self._save, names)
        self._kept = names

    def _load(self) -> Mapping[str, str]:
        try:
            return _DECODER.decode(self._file.read_bytes())
        except (OSError, ValueError, msgspec.DecodeError, RecursionError):
            return {}

    def _save(self, names: Mapping[str, str]) -> None:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self._file, msgspec.json.encode(names))
