"""The file of smarter-device-manager: https://github.com/smarter-project."""

from collections.abc import Mapping, Sequence
from typing import Any

from nodeplug.backend import Translation
from nodeplug.values.errors import InvalidValueError
from nodeplug_custom.reader_values import count, fit, go_regex, known_map, labelled
from nodeplug_custom.regexes import check_regex

_DOMAIN = "smarter-devices"
_KEYS = frozenset({"devicematch", "nummaxdevices"})
# What stands for the GPUs of a Jetson, which have no node in /dev.
_JETSON = "nvidia-gpu"


def read_smarter(entries: Sequence[Any]) -> Translation:
    """Return what a list of `devicematch` means here.

    Of two entries that match a path, that plugin serves the later one.
    """
    found: list[tuple[dict[str, object], int]] = []
    refused, ignored = [], []
    for number, entry in enumerate(entries):
        if isinstance(entry, Mapping) and entry.get("devicematch") == _JETSON:
            ignored.append(f"[{number}].devicematch: {_JETSON}, GPUs of a Jetson, are not served")
            continue
        try:
            found.append(_entry(f"[{number}]", entry))
        except InvalidValueError as error:
            refused.append(str(error))
    offers = labelled(f"{_DOMAIN}/*", found)
    devices = [entry for entry, _ in reversed(found)]
    resources = [{"name": f"{_DOMAIN}/{{name}}", "devices": devices}] if devices else []
    return Translation(
        section={"resources": resources}, offers=offers, refused=refused, ignored=ignored
    )


def _entry(where: str, entry: Any) -> tuple[dict[str, object], int]:
    known_map(where, entry, _KEYS)
    needs = f"{where}: needs `devicematch`, a text, and `nummaxdevices`, a number"
    if not isinstance(match := entry.get("devicematch"), str) or not match:
        raise InvalidValueError(needs)
    regex = go_regex(match)
    fit(f"{where}.devicematch", check_regex, regex)
    if "nummaxdevices" not in entry:  # which that plugin takes for none at all
        raise InvalidValueError(needs)
    number = count(where, entry, "nummaxdevices")
    device: dict[str, object] = {"regex": regex, "type": "nodes", "followLinks": True}
    if number > 1:  # for many, also where its directory has a name of its own
        device["exclusive"] = False
    return device, number
