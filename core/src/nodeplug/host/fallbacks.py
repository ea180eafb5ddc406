"""What works less well than it should, for as long as it does. No fallback is silent."""

import logging
from collections.abc import Collection, Mapping

_log = logging.getLogger("nodeplug.host")

_current: dict[str, str] = {}


def fall_back(what: str, lacks: str, error: str) -> None:
    """Say what something has to do without, and why; logged once, until it has recovered."""
    if _current.get(what) != (trouble := f"{lacks}: {error}"):
        _current[what] = trouble
        _log.warning(lacks, extra={"nodeplug": {"what": what, "error": error}})


def recover(what: str) -> None:
    """Say that something lacks nothing any more; nothing happens if it did not."""
    if _current.pop(what, None) is not None:
        _log.info("recovered", extra={"nodeplug": {"what": what}})


def forget(what: str) -> None:
    """Say that something is no more."""
    _current.pop(what, None)


class Fallbacks:
    """What one owner has to do without, told as a whole each time."""

    def __init__(self) -> None:
        self._told: Collection[str] = ()

    def tell(self, lacking: Mapping[str, tuple[str, str]]) -> None:
        """Say of each thing what it lacks, and why; what is not among them has recovered."""
        for what in self._told:
            if what not in lacking:
                recover(what)
        for what, (lacks, error) in lacking.items():
            fall_back(what, lacks, error)
        self._told = tuple(lacking)

    def close(self) -> None:
        """Say that there is nothing any more that could lack something."""
        for what in self._told:
            forget(what)
        self._told = ()


def fallbacks() -> Mapping[str, str]:
    """Return what lacks something now, and what it lacks."""
    return dict(_current)
