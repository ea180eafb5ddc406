"""The configuration section `intel_fpga` as types."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal

import msgspec

from nodeplug.values.names import RESOURCE_NAME, check_resource_name
from nodeplug.values.section import Section
from nodeplug_intel_fpga.ids import DOMAIN, good_id, is_id

Mode = Literal["af", "region", "regiondevel"]
Ignorable = Literal["engine", "port", "alarms", "node", "pci"]

STATE_DIR: Final = "/var/lib/kubelet/device-plugins/.nodeplug/intel_fpga"
_SHA256_LENGTH: Final = 64


class HealthSettings(Section, frozen=True, kw_only=True):
    """What makes a device Unhealthy besides ids that cannot be read."""

    ignore: Annotated[
        tuple[Ignorable, ...],
        msgspec.Meta(
            description="Checks to leave out: `engine` error registers of the management engine "
            "(FME), `port` those of the port, `alarms` critical temperature and power, `node` the "
            "device node, `pci` a PCI function that does not answer."
        ),
    ] = ()


class ProgrammedSettings(Section, frozen=True, kw_only=True):
    """A resource whose ports are programmed before a container starts."""

    name: Annotated[
        str,
        msgspec.Meta(description="Name of the resource, `<domain>/<name>`, as pods ask for it."),
        RESOURCE_NAME,
    ]
    cards: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            min_length=1,
            description="PCI addresses of cards, `*`, `?` and `[...]` match. A port belongs to the "
            "first resource that has its card and its interface.",
        ),
    ] = ("*",)
    interface: Annotated[
        str, msgspec.Meta(description="Interface id of the cards: 32 hexadecimal digits.")
    ]
    afu: Annotated[
        str, msgspec.Meta(description="AFU id that the bitstream loads: 32 hexadecimal digits.")
    ]
    bitstream: Annotated[
        str, msgspec.Meta(description="Path of the GBS or AOCX file on the host, absolute.")
    ]
    sha256: Annotated[str, msgspec.Meta(description="SHA-256 of that file: 64 hexadecimal digits.")]

    def __post_init__(self) -> None:
        check_resource_name(self.name)
        if self.name.startswith((f"{DOMAIN}/af-", f"{DOMAIN}/region-")):
            raise ValueError(f"name: {self.name!r} is a name that ids make; take another")
        for key, text in (("interface", self.interface), ("afu", self.afu)):
            if not is_id(text) or not good_id(text):
                raise ValueError(f"{key}: {text!r} needs 32 lower-case hexadecimal digits")
        if len(self.sha256) != _SHA256_LENGTH or set(self.sha256) - set("0123456789abcdef"):
            raise ValueError(f"sha256: {self.sha256!r} needs 64 lower-case hexadecimal digits")
        _check_path("bitstream", self.bitstream)

    def has(self, card: str, interface: str) -> bool:
        """Whether ports of this card and interface belong to the resource."""
        return interface == self.interface and _any_matches(card, self.cards)


class FpgaSettings(Section, frozen=True, kw_only=True):
    """Intel FPGA cards, of both kernel drivers."""

    mode: Annotated[
        Mode,
        msgspec.Meta(
            description="What is handed out: `af` a port, by interface and AFU; `region` all ports "
            "of an interface on a card, by interface; `regiondevel` these and the management "
            "engine (FME), so that the workload can program them."
        ),
    ] = "af"
    cards: Annotated[
        dict[str, Mode],
        msgspec.Meta(
            description="The mode by PCI address of a card or of a virtual function; `*`, `?` and "
            "`[...]` match. The first that matches holds."
        ),
    ] = msgspec.field(default_factory=dict)
    health: Annotated[
        HealthSettings, msgspec.Meta(description="What makes a device Unhealthy.")
    ] = HealthSettings()
    poll_seconds: Annotated[
        float,
        msgspec.Meta(
            ge=0.1,
            description="Pause between looks that no event asked for. The kernel does not tell "
            "that a port was programmed, nor of errors and alarms: these are found so.",
        ),
    ] = 5.0
    state_dir: Annotated[
        str,
        msgspec.Meta(
            description="Directory on the host for what each port was like when it was well, so "
            "that a card that is sick at a start keeps its resource."
        ),
    ] = STATE_DIR
    programming: Annotated[
        tuple[ProgrammedSettings, ...],
        msgspec.Meta(description="Resources whose ports the agent programs."),
    ] = ()

    def __post_init__(self) -> None:
        _check_path("stateDir", self.state_dir)
        names = [each.name for each in self.programming]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"programming: name {name!r} is given twice; keep one")

    def mode_of(self, address: str, card: str) -> Mode:
        """Return the mode for a function of a card."""
        for pattern, mode in self.cards.items():
            if _any_matches(address, [pattern]) or _any_matches(card, [pattern]):
                return mode
        return self.mode

    def programmed(self, card: str, interface: str) -> ProgrammedSettings | None:
        """Return the resource that the ports of a card and interface belong to, if any."""
        return next((each for each in self.programming if each.has(card, interface)), None)


def _any_matches(address: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(address, pattern) for pattern in patterns)


def _check_path(key: str, path: str) -> None:
    if not path.startswith("/") or ".." in path.split("/") or not path.isprintable():
        raise ValueError(f"{key}: {path!r} must be absolute, printable and without '..'")
