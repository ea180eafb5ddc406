"""Reads the configuration file of the SR-IOV network device plugin, unchanged."""

from collections.abc import Mapping, Sequence
from glob import escape
from typing import Any, Final

import msgspec

from nodeplug.backend import Translation
from nodeplug.values.errors import InvalidValueError
from nodeplug_sriov_net.selector_settings import MEANT_FOR, SelectorSettings, camel
from nodeplug_sriov_net.settings import PoolSettings

# What that plugin puts before a name where neither the pool nor its flag -resource-prefix does.
DEFAULT_PREFIX: Final = "intel.com"
_EXACT: Final = ("vendors", "devices", "pciAddresses", "rootDevices", "acpiIndexes", "pKeys")
_OWN_KEYS: Final = ("netdevs", "macs", "numa_nodes", "min_speed_mbps")
_SELECTORS: Final = {
    camel(key).lower(): key for key in SelectorSettings.__struct_fields__ if key not in _OWN_KEYS
}
_POOL: Final = {
    key.lower(): key
    for key in (
        *("resourceName", "resourcePrefix", "deviceType"),
        *("excludeTopology", "selectors", "additionalInfo"),
    )
}

Keys = dict[str, Any]


class _Reading:
    """What has been read so far of one file."""

    def __init__(self) -> None:
        self.pools: list[Keys] = []
        self.refused: list[str] = []

    def add(self, place: str, entry: object) -> None:
        """Take a pool over, or say why not."""
        try:
            pool = self._checked(_pool(entry))
        except ValueError as error:
            self.refused.append(f"{place}: {_plain(str(error))}")
        else:
            self.pools.append(pool)

    def _checked(self, pool: Keys) -> Keys:
        msgspec.convert(pool, PoolSettings)
        if any(pool["name"] == other["name"] for other in self.pools):
            raise ValueError(f"resourceName: {pool['name']!r} is given to two pools")
        return pool


def _pool(entry: object) -> Keys:
    found = _known("", entry, _POOL)
    name, prefix = found.pop("resourceName", ""), found.pop("resourcePrefix", "")
    if not isinstance(name, str) or not name:
        raise ValueError("resourceName: is missing")
    device_type = found.get("deviceType") or "netDevice"
    if not any(device_type in meant for meant in MEANT_FOR.values()):
        raise ValueError(f"deviceType: Invalid enum value {device_type!r}")
    pool = {**found, "name": f"{prefix or DEFAULT_PREFIX}/{name}", "deviceType": device_type}
    if "selectors" in found:
        pool["selectors"] = _selectors(found["selectors"], device_type)
    return pool


def _selectors(value: object, device_type: object) -> list[Keys]:
    entries = value if isinstance(value, list) else [value]
    if not entries:
        raise ValueError("selectors: is an empty list")
    if not all(isinstance(each, Mapping) for each in entries):
        raise ValueError("selectors: is no object, nor a list of objects")
    return [_selector(each, device_type) for each in entries]


def _selector(entry: object, device_type: object) -> Keys:
    found = _known("selectors.", entry, {key: camel(name) for key, name in _SELECTORS.items()})
    selector = {}
    for key, value in found.items():
        if device_type not in MEANT_FOR[_SELECTORS[key.lower()]]:
            raise ValueError(f"selectors.{key}: means nothing for {device_type}")
        selector[key] = _literal(key, value)
    return selector


def _known(place: str, entry: object, keys: Mapping[str, str]) -> Keys:
    """Return the known keys of an object, whatever their case; a null is as good as none."""
    if not isinstance(entry, Mapping):
        raise ValueError("is no object")  # noqa: TRY004 - the file is wrong, not the program
    found = {}
    for key, value in entry.items():
        known = keys.get(str(key).lower())
        if known is None:
            raise ValueError(f"{place}{key}: is not a known key")
        if value is not None:
            found[known] = value
    return found


def read(document: object) -> Translation:
    """Translate the parsed file; a pool that is wrong is left out alone.

    Raises InvalidValueError where there is no list of pools.
    """
    reading = _Reading()
    for number, entry in enumerate(_pools(document, reading)):
        reading.add(f"resourceList[{number}]", entry)
    return Translation(section={"pools": reading.pools}, refused=reading.refused)


def _pools(document: object, reading: _Reading) -> Sequence[object]:
    if not isinstance(document, Mapping):
        raise InvalidValueError("is no object with a resourceList")
    pools: object = None
    for key, value in document.items():
        if str(key).lower() == "resourcelist":
            pools = value
        else:
            reading.refused.append(f"{key}: is not a known key")
    if not isinstance(pools, list) or not pools:
        problem = "resourceList: is no list of pools, or an empty one"
        raise InvalidValueError("; ".join([problem, *reading.refused]))
    return pools


def _literal(key: str, value: object) -> object:
    """Return a selector's value so that no entry is taken for a pattern: that plugin has none."""
    if not isinstance(value, list):
        return value
    return [_escaped(key, each) if isinstance(each, str) else each for each in value]


def _escaped(key: str, text: str) -> str:
    if text.startswith("!") or (key in _EXACT and escape(text) != text):
        raise ValueError(f"selectors.{key}: {text!r} can match nothing")
    return escape(text)


def _plain(text: str) -> str:
    """Return an error of the conversion with the key first, as the file has it."""
    problem, _, path = text.partition(" - at `$.")
    problem = problem.replace("name: resource name", "resourcePrefix, resourceName:")
    key = path.rstrip("`")
    return f"{key}: {problem}" if key else problem
