"""The last configuration that worked, as a whole, kept where it outlives the agent."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from nodeplug.config.settings import AgentSettings
from nodeplug.host.files import write_atomically
from nodeplug.kubelet.sockets import HOME
from nodeplug.supervisor.installation import file_name

_log = logging.getLogger("nodeplug.supervisor")


class _Kept(msgspec.Struct, frozen=True):
    """A merged configuration, and whose it is: names of files may coincide."""

    installation: str
    configuration: AgentSettings


class LastGood:
    """A file per installation in the kubelet's directory, where we surely can write.

    What worked for one `installation`, a Helm release for example, is nothing to another one on
    the same node: it would serve that one's resources.
    """

    def __init__(self, plugin_dir: Path, installation: str) -> None:
        self._installation = installation
        self.file = plugin_dir / HOME / "last-good" / f"{file_name(installation)}.json"

    def save(self, agent: AgentSettings, sections: Mapping[str, Any]) -> None:
        """Keep what is in force of the agent's settings, and sections that have worked with it.

        Sections of other backends stay as they are kept. Raises OSError.
        """
        before = self.load() or AgentSettings()
        whole = msgspec.structs.replace(agent, nodes=(), backends={**before.backends, **sections})
        data = msgspec.json.encode(_Kept(self._installation, whole))
        if not self.file.exists() or self.file.read_bytes() != data:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self.file, data)

    def load(self) -> AgentSettings | None:
        """Return what is kept, each backend's section unread, or None if that is nothing."""
        try:
            kept = msgspec.json.decode(self.file.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, msgspec.DecodeError, RecursionError) as error:
            facts = {"file": str(self.file), "error": str(error)}
            _log.warning("what was kept cannot be read", extra={"nodeplug": facts})
            return None
        return kept.configuration if kept.installation == self._installation else None
