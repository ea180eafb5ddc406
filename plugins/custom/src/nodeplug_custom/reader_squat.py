"""The file of the generic device plugin: https://github.com/squat/generic-device-plugin."""

import json
import re
from collections.abc import Mapping, Sequence
from glob import escape
from typing import Any

from nodeplug.backend import Translation
from nodeplug.values.errors import InvalidValueError
from nodeplug.values.names import check_resource_name
from nodeplug_custom.checks import check_place
from nodeplug_custom.globs import check_pattern
from nodeplug_custom.reader_shared import share
from nodeplug_custom.reader_values import count, fit, go_glob, known_map, labelled, text, truth

DOMAIN = "squat.ai"
_PATH_KEYS = frozenset(
    {"path", "mountPath", "permissions", "type", "readOnly", "limit", "optional"}
)
_TYPES = {"Device": "nodes", "Mount": "mount"}
_RIGHTS = "rwm"
# What it limits are rows of different nodes, of which no host has so many.
_LIMIT = 1000
_USB_ID = re.compile(r"(0x)?([0-9a-f]{1,4})")


def read_squat(entries: Sequence[Any], domain: str) -> Translation:
    """Return what a list of devices means here."""
    resources: list[dict[str, object]] = []
    offers: list[dict[str, object]] = []
    refused: list[str] = []
    notes: list[str] = []
    for number, entry in enumerate(entries):
        where = f"[{number}]"
        try:
            resource, shared = _device(where, _parsed(entry), domain, notes)
        except InvalidValueError as error:
            refused.append(str(error))
            continue
        resources.append(resource)
        offers += shared
    notes += share(resources)
    return Translation(
        section={"resources": resources}, offers=offers, refused=refused, notes=notes
    )


def _parsed(entry: Any) -> Any:
    """Return an entry; one that is a text, the value of a flag, has JSON in it.

    There a number as the id of a USB device is hexadecimal.
    """
    if not isinstance(entry, str):
        return entry
    try:
        device = json.loads(entry)
        for group in device["groups"]:
            for usb in group.get("usb") or ():
                usb |= {key: str(usb[key]) for key in ("vendor", "product") if key in usb}
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None
    return device


def _device(
    where: str, device: Any, domain: str, notes: list[str]
) -> tuple[dict[str, object], list[dict[str, object]]]:
    """Return a resource and its offers."""
    if not isinstance(device, Mapping):
        raise InvalidValueError(f"{where}: needs `name` and a list `groups`")
    known_map(where, device, {"name", "groups"})
    if not isinstance(device.get("groups"), list) or not device["groups"]:
        raise InvalidValueError(f"{where}: needs a list `groups`")
    resource: dict[str, Any] = {"name": f"{domain}/{text(where, device, 'name').strip()}"}
    fit(f"{where}.name", check_resource_name, resource["name"])
    found = []
    for number, group in enumerate(device["groups"]):
        place = f"{where}.groups[{number}]"
        known_map(place, group, {"count", "paths", "usb"})
        found.append((*_entry(place, group, notes), count(place, group, "count", 1)))
    found.sort(key=lambda each: -each[2])  # what is in several groups has the largest count
    for kind, entry, _ in found:
        resource.setdefault(kind, []).append(entry)
    return resource, labelled(str(resource["name"]), [each[1:] for each in found])


def _entry(where: str, group: Mapping[str, Any], notes: list[str]) -> tuple[str, dict[str, object]]:
    """Return what a group is among the lists of a resource."""
    paths, usbs = group.get("paths"), group.get("usb")
    if isinstance(paths, list) and paths and not usbs:
        places = [f"{where}.paths[{n}]" for n in range(len(paths))]
        zipped = [_path(each, path) for each, path in zip(places, paths, strict=True)]
        notes += [
            f"{place}: links are followed wherever they lead, as that plugin does"
            for place, path in zip(places, zipped, strict=True)
            if not str(path["path"]).startswith("/dev/")
        ]
        return "zipped", {"paths": zipped, "uneven": False}
    if isinstance(usbs, list) and usbs and not paths:
        members = [{"usb": _usb(f"{where}.usb[{n}]", usb)} for n, usb in enumerate(usbs)]
        return "sets", {"members": members, "take": "all"}
    raise InvalidValueError(f"{where}: needs either `paths` or `usb`, a list")


def _path(where: str, path: Any) -> dict[str, object]:
    known_map(where, path, _PATH_KEYS)
    if text(where, path, "type", "Device") not in _TYPES:
        raise InvalidValueError(f"{where}.type: must be Device or Mount")
    mount = text(where, path, "mountPath", "").strip().replace("{", "{{").replace("}", "}}")
    pattern = fit(f"{where}.path", go_glob, text(where, path, "path").strip())
    fit(f"{where}.path", check_pattern, pattern)
    if mount:
        fit(f"{where}.mountPath", check_place, mount)
    return {
        "path": pattern,
        "containerPath": mount,
        "permissions": _rights(where, path),
        "type": _TYPES[text(where, path, "type", "Device")],
        "optional": truth(where, path, "optional"),
        "limit": min(count(where, path, "limit", 1), _LIMIT),
        "followLinks": True,
    }


def _rights(where: str, path: Mapping[str, Any]) -> str:
    """Return what a container may do; of what is read-only nothing else, whatever it is."""
    wanted = set(text(where, path, "permissions", "") or _RIGHTS)
    if wanted - set(_RIGHTS):
        raise InvalidValueError(f"{where}.permissions: must be of the letters m, r and w")
    if truth(where, path, "readOnly"):
        return "r"
    if path.get("type") == "Mount":
        return "rw" if "w" in wanted else "r"
    return "".join(letter for letter in _RIGHTS if letter in wanted)


def _usb(where: str, usb: Any) -> dict[str, str]:
    known_map(where, usb, {"vendor", "product", "serial"})
    found = {key: _usb_id(where, usb, key) for key in ("vendor", "product")}
    serial = usb.get("serial")
    if serial is None or serial == "":
        return found
    if isinstance(serial, bool) or not isinstance(serial, str | int) or str(serial)[0] == "!":
        raise InvalidValueError(f"{where}.serial: must be a text, without `!` before it")
    return {**found, "serial": escape(str(serial))}


def _usb_id(where: str, usb: Mapping[str, Any], key: str) -> str:
    value = usb.get(key)
    written = f"{value:x}" if isinstance(value, int) else str(value).lower()
    if isinstance(value, bool) or not (digits := _USB_ID.fullmatch(written)):
        raise InvalidValueError(f"{where}.{key}: must be four hexadecimal digits")
    return digits[2].zfill(4)
