"""Which events and conditions count."""

from collections.abc import Mapping
from typing import Final, Self

import msgspec

from nodeplug_nvidia_gpu.facts import Event
from nodeplug_nvidia_gpu.settings import HealthSettings

# NVIDIA, XID Errors: these are the application's doing.
_OF_APPLICATIONS: Final = frozenset({13, 31, 43, 45, 68, 109})
_EVERY_SOURCE: Final = frozenset({"xid", "ecc", "remap", "recovery", "lost"})
_MEANINGS: Final = {
    48: "uncorrectable memory error",
    62: "internal micro-controller halt",
    63: "memory row or page remapped",
    64: "memory row or page could not be remapped",
    74: "NVLink error",
    79: "fallen off the bus",
    94: "contained memory error",
    95: "uncontained memory error",
    119: "GSP does not answer",
    120: "GSP error",
}


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator lets count, from settings and environment.

    XIDs: those of `heeded` count; of the others those that are not `ignored`; none but the
    heeded where "xid" is in `ignore`.
    """

    ignore: frozenset[str] = frozenset()
    ignored: frozenset[int] = _OF_APPLICATIONS
    heeded: frozenset[int] = frozenset()
    heed_all: bool = False
    heals: bool = True
    hold_off_seconds: float = 10.0

    @classmethod
    def of(cls, settings: HealthSettings, environment: Mapping[str, str]) -> Self:
        """Return the rules of settings and of the two switches of NVIDIA's plugin.

        DP_DISABLE_HEALTHCHECKS and DP_ENABLE_HEALTHCHECKS are lists of XIDs, or of "all" and
        "xids". What is enabled counts even where all is disabled.
        """
        off = _words(environment.get("DP_DISABLE_HEALTHCHECKS", ""))
        on = _words(environment.get("DP_ENABLE_HEALTHCHECKS", ""))
        ignore: frozenset[str] = frozenset(settings.ignore)
        ignore |= _EVERY_SOURCE if "all" in off else frozenset({"xid"} if "xids" in off else ())
        return cls(
            ignore=ignore,
            ignored=_OF_APPLICATIONS | {*settings.ignore_xids} | _numbers(off),
            heeded=frozenset(settings.heed_xids) | _numbers(on),
            heed_all="all" in on or "xids" in on,
            heals=settings.recovery == "auto",
            hold_off_seconds=settings.hold_off_seconds,
        )

    def verdict(self, event: Event) -> tuple[str, str]:
        """Return source and reason of an event that makes sick, else two empty texts."""
        if event.xid is None:
            reason = "uncorrectable memory error"
            return ("", "") if "ecc" in self.ignore else ("ecc", reason)
        if not self._counts(event.xid):
            return "", ""
        meaning = _MEANINGS.get(event.xid)
        return f"xid {event.xid}", f"XID {event.xid}" + (f": {meaning}" if meaning else "")

    def _counts(self, xid: int) -> bool:
        if self.heed_all or xid in self.heeded:
            return True
        return "xid" not in self.ignore and xid not in self.ignored


def _words(text: str) -> frozenset[str]:
    return frozenset(word.strip().lower() for word in text.split(","))


def _numbers(words: frozenset[str]) -> frozenset[int]:
    return frozenset(int(word) for word in words if word.isascii() and word.isdigit())
