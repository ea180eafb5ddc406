"""Reads the configuration file of NVIDIA's device plugin, `version: v1`, unchanged."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from nodeplug.backend import Translation
from nodeplug.values.errors import InvalidValueError
from nodeplug_nvidia_gpu.reader_offers import Offers
from nodeplug_nvidia_gpu.settings import NvidiaGpuSettings

_WAITS: Final = "means nothing: without a driver there are no devices, until there is one"
_ELSEWHERE: Final = "means nothing: labels have their own section"
# Where each key of that file goes: the path of ours, or why there is none.
_FLAGS: Final[Mapping[str, str]] = {
    "migStrategy": "migStrategy",
    "nvidiaDriverRoot": "driverRoot",
    "nvidiaDevRoot": "devRoot",
    "gdrcopyEnabled": "gdrcopy",
    "gdsEnabled": "gds",
    "mofedEnabled": "mofed",
    "deviceDiscoveryStrategy": "discovery",
    "plugin.passDeviceSpecs": "passDeviceSpecs",
    "plugin.deviceListStrategy": "deviceListStrategy",
    "plugin.deviceIDStrategy": "deviceIdStrategy",
    "plugin.cdiAnnotationPrefix": "cdi.annotationPrefix",
    "plugin.nvidiaCTKPath": "cdi.hookPath",
    "plugin.containerDriverRoot": "containerDriverRoot",
    "gfd.machineTypeFile": "machineTypeFile",
}
_IGNORED: Final[Mapping[str, str]] = {
    "failOnInitError": _WAITS,
    "restartOnDeviceUnhealthy": "means nothing: health recovers without a restart",
    "mpsRoot": "means nothing: MPS is not served",
    "useNodeFeatureAPI": _ELSEWHERE,
    "gfd.oneshot": _ELSEWHERE,
    "gfd.noTimestamp": _ELSEWHERE,
    "gfd.sleepInterval": _ELSEWHERE,
    "gfd.outputFile": _ELSEWHERE,
}
_POLICY: Final = "plugin.sharedDevicesAllocationPolicy"

Keys = dict[str, Any]


class Reading:
    """What has been read so far of one file."""

    def __init__(self) -> None:
        self.section: Keys = {}
        self.refused: list[str] = []
        self.ignored: list[str] = []

    def take(self, place: str, target: str, value: object) -> None:
        """Set a key of the section, if our settings let it have the value."""
        outer, _, inner = target.rpartition(".")
        keys = {**self.section.get(outer, {}), inner: value} if outer else value
        try:
            msgspec.convert({outer or inner: keys}, NvidiaGpuSettings)
        except ValueError as error:
            self.refused.append(f"{place}: {str(error).partition(' - at `')[0]}")
        else:
            self.section[outer or inner] = keys


def read(document: object) -> Translation:
    """Translate the parsed file; raise InvalidValueError where it is none."""
    if not isinstance(document, Mapping):
        raise InvalidValueError("is no object with flags, resources or sharing")
    if document.get("version", "v1") != "v1":
        raise InvalidValueError(f"version: {document['version']!a} is not v1")
    reading = Reading()
    for key in ("flags", "imex"):
        if not isinstance(document.get(key), Mapping | None):
            reading.refused.append(f"{key}: {document[key]!a} is no map")
    flags = _flat(document.get("flags"))
    policy = flags.pop(_POLICY, "distributed")
    _read_flags(flags, reading)
    _read_imex(document.get("imex"), reading)
    offers = Offers(reading.refused, policy)
    offers.resources(document.get("resources"))
    offers.sharing(document.get("sharing"))
    known = {"version", "flags", "imex", "resources", "sharing"}
    reading.refused += (f"{key!s}: is not a known key" for key in document if key not in known)
    return Translation(
        section=reading.section,
        offers=offers.entries(),
        refused=reading.refused,
        ignored=reading.ignored,
        notes=offers.notes,
    )


def _flat(flags: object, prefix: str = "") -> Keys:
    """Return the flags by path; a null is as good as none."""
    found: Keys = {}
    for key, value in (flags if isinstance(flags, Mapping) else {}).items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{path}.")
        elif value is not None:
            found[path] = value
    return found


def _read_flags(flags: Keys, reading: Reading) -> None:
    for path, value in flags.items():
        place = f"flags.{path}"
        if path in _FLAGS:
            reading.take(place, _FLAGS[path], _value(path, value))
        elif path in _IGNORED:
            reading.ignored.append(f"{place}: {_IGNORED[path]}")
        else:
            reading.refused.append(f"{place}: is not a known key")


def _value(path: str, value: object) -> object:
    if path.endswith("deviceListStrategy") and isinstance(value, str):
        return [each.strip() for each in value.split(",")]
    return value


def _read_imex(imex: object, reading: Reading) -> None:
    for key, value in (imex if isinstance(imex, Mapping) else {}).items():
        if key in {"channelIDs", "required"}:
            reading.take(f"imex.{key}", f"imex.{str(key).replace('IDs', 'Ids')}", value)
        else:
            reading.refused.append(f"imex.{key!s}: is not a known key")
