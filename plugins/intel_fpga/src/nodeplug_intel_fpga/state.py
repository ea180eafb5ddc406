"""The file that says what each port was like when it was well."""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import msgspec

from nodeplug.host.fallbacks import fall_back, recover
from nodeplug.host.files import write_atomically
from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import read_text
from nodeplug_intel_fpga.facts import PortFacts

_WHAT = "state of ports"

_log = logging.getLogger("nodeplug.intel_fpga")

_LIMIT: Final = 1 << 20


class _Content(msgspec.Struct):
    boot: str
    ports: list[PortFacts]


# Made here: two threads that make the same decoder at once crash msgspec 0.20.
_decode = msgspec.json.Decoder(_Content).decode


class State:
    """The file `ports.json` in a directory of the host; reading and writing it may block."""

    def __init__(self, root: HostRoot, directory: str) -> None:
        self._root = root
        self._directory = directory
        self._boot_file = root.proc / "sys/kernel/random/boot_id"
        self._written: Mapping[str, PortFacts] | None = None
        self._failed = False

    def read(self) -> tuple[Mapping[str, PortFacts], Collection[str]]:
        """Return what was written last, and the keys of what was before the host's last boot."""
        try:
            with self._file().open("rb") as file:
                content = _decode(file.read(_LIMIT))
        except FileNotFoundError:
            return {}, ()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._failed = isinstance(error, OSError)  # writing fails likewise: said already
            self._log("state not read", error)
            return {}, ()
        known = {facts.key: facts for facts in content.ports if facts.sound}
        return known, () if content.boot == self._boot() else known.keys()

    def lacks(self, known: Mapping[str, PortFacts]) -> bool:
        """Whether what is known is not what was written last. Does not block."""
        return known != self._written

    def write(self, known: Mapping[str, PortFacts]) -> None:
        """Write what is known. What goes wrong is logged once and does no harm."""
        content = _Content(self._boot(), [*known.values()])
        try:
            file = self._file()
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(file, msgspec.json.encode(content))
        except OSError as error:
            if not self._failed:
                fall_back(_WHAT, "state not kept", f"{self._directory}/ports.json: {error}")
            self._failed = True
        else:
            self._written, self._failed = known, False
            recover(_WHAT)

    def _file(self) -> Path:
        return self._root.find(self._directory) / "ports.json"

    def _boot(self) -> str:
        return read_text(self._boot_file) or ""

    def _log(self, phrase: str, error: Exception) -> None:
        facts = {"path": f"{self._directory}/ports.json", "error": str(error)}
        _log.warning(phrase, extra={"nodeplug": facts})
