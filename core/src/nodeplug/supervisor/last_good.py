"""The last settings of each backend that worked, kept where they outlive the agent."""

import logging
from pathlib import Path
from typing import Any

import msgspec

from nodeplug.backend import BackendSpec
from nodeplug.host.files import write_atomically
from nodeplug.kubelet.sockets import HOME
from nodeplug.supervisor.installation import file_name

_log = logging.getLogger("nodeplug.supervisor")


class LastGood:
    """A file per installation and backend in the kubelet's directory, where we surely can write.

    What worked for one `installation`, a Helm release for example, is nothing to another one on
    the same node: it would serve that one's resources.
    """

    def __init__(self, plugin_dir: Path, installation: str) -> None:
        self._folder = plugin_dir / HOME / "last-good" / file_name(installation)

    def save(self, backend: str, settings: Any) -> None:
        """Keep settings that have just brought a first inventory; a full disk is only logged."""
        data = msgspec.json.encode(settings)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._read(backend) != data:
                write_atomically(self._file(backend), data)
        except OSError as error:
            facts = {"backend": backend, "error": str(error)}
            _log.warning("settings not kept", extra={"nodeplug": facts})

    def load(self, spec: BackendSpec) -> Any | None:
        """Return the settings kept for a backend, or None if there are none that still fit."""
        data = self._read(spec.name)
        try:
            return None if data is None else msgspec.json.decode(data, type=spec.settings)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def _read(self, backend: str) -> bytes | None:
        try:
            return self._file(backend).read_bytes()
        except OSError:
            return None

    def _file(self, backend: str) -> Path:
        return self._folder / f"{backend}.json"
