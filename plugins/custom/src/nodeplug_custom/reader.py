"""The files of two plugins that serve any device: squat's and Arm's."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nodeplug.backend import Translation
from nodeplug.values.errors import InvalidValueError

_SQUAT_DOMAIN = "squat.ai"
_SMARTER_DOMAIN = "smarter-devices"
_PATH_KEYS = {"path", "mountPath", "permissions", "type", "readOnly", "limit", "optional"}
_FLAGS = {"domain", "device", "devices"}


def read(document: object) -> Translation:
    """Return what a file means here.

    A list of `devicematch` is smarter-device-manager's; a list of devices with groups, or a map
    with such a list and a domain, is the generic device plugin's.
    """
    if isinstance(document, list) and all(isinstance(e, Mapping) for e in document):
        if document and all("devicematch" in entry for entry in document):
            return _smarter(document)
        return _squat(document, _SQUAT_DOMAIN, [])
    if isinstance(document, Mapping):
        devices = document.get("devices", document.get("device"))
        devices = devices if isinstance(devices, list) else [devices]
        ignored = [f"{key}: has no meaning here" for key in document if key not in _FLAGS]
        return _squat(devices, str(document.get("domain", _SQUAT_DOMAIN)), ignored)
    raise InvalidValueError(
        "(top level): is neither a list of `devicematch` nor devices with `name` and `groups`"
    )


def _smarter(entries: Sequence[Mapping[str, Any]]) -> Translation:
    resources, offers, refused, ignored = [], [], [], []
    for number, entry in enumerate(entries):
        name = f"{_SMARTER_DOMAIN}/{{name}}"
        count = entry.get("nummaxdevices", 1)
        if not isinstance(entry["devicematch"], str) or not isinstance(count, int):
            refused.append(
                f"[{number}]: needs `devicematch`, a text, and `nummaxdevices`, a number"
            )
            continue
        ignored += [
            f"[{number}].{key}: has no meaning here"
            for key in entry.keys() - {"devicematch", "nummaxdevices"}
        ]
        resources.append((name, entry["devicematch"], count))
    devices = [{"regex": regex, "followLinks": True} for _, regex, _ in resources]
    if devices:
        section = [{"name": f"{_SMARTER_DOMAIN}/{{name}}", "devices": devices}]
        counts = sorted({count for _, _, count in resources})
        offers = [_smarter_offer(max(counts))] if counts != [1] else []
        if len(counts) > 1:
            ignored.append(f"nummaxdevices: {counts} differ; {counts[-1]} holds for all")
    else:
        section = []
    return Translation(
        section={"resources": section}, offers=offers, refused=refused, ignored=ignored
    )


def _smarter_offer(count: int) -> dict[str, object]:
    return {"resource": f"{_SMARTER_DOMAIN}/*", "replicas": count}


def _squat(entries: Sequence[Any], domain: str, ignored: list[str]) -> Translation:
    resources: list[dict[str, object]] = []
    offers: list[dict[str, object]] = []
    refused: list[str] = []
    for number, entry in enumerate(entries):
        device = _parsed(entry)
        if not isinstance(device, Mapping) or not isinstance(device.get("groups"), list):
            refused.append(f"[{number}]: needs `name` and a list `groups`")
            continue
        try:
            resource, count = _device(f"[{number}]", device, domain, ignored)
        except InvalidValueError as error:
            refused.append(str(error))
            continue
        resources.append(resource)
        if count > 1:
            offers.append({"resource": resource["name"], "replicas": count})
    return Translation(
        section={"resources": resources}, offers=offers, refused=refused, ignored=ignored
    )


def _parsed(entry: Any) -> Any:
    if not isinstance(entry, str):
        return entry
    try:
        return json.loads(entry)
    except (ValueError, RecursionError):
        return None


def _device(
    where: str, device: Mapping[str, Any], domain: str, ignored: list[str]
) -> tuple[dict[str, object], int]:
    _refuse_unknown(where, device, {"name", "groups"})
    resource: dict[str, object] = {"name": f"{domain}/{device.get('name')}"}
    counts: set[int] = set()
    for number, group in enumerate(device["groups"]):
        place = f"{where}.groups[{number}]"
        if not isinstance(group, Mapping):
            raise InvalidValueError(f"{place}: must be a map")
        _refuse_unknown(place, group, {"count", "paths", "usb"})
        counts.add(_number(place, "count", group) * _add(place, group, resource, ignored))
    if len(counts) != 1:
        raise InvalidValueError(
            f"{where}: its groups are shared differently; make them two devices"
        )
    return resource, counts.pop()


def _add(where: str, group: Mapping[str, Any], resource: dict[str, Any], ignored: list[str]) -> int:
    """Add a group's devices to a resource; return by how many each match is shared."""
    paths, usbs = group.get("paths"), group.get("usb")
    if isinstance(paths, list) and paths and not usbs:
        limits = [_number(f"{where}.paths[{n}]", "limit", path) for n, path in enumerate(paths)]
        zipped = [_path(f"{where}.paths[{n}]", path) for n, path in enumerate(paths)]
        ignored += [
            f"{where}.paths[{n}]: links are followed wherever they lead, as that plugin does"
            for n, path in enumerate(paths)
            if not str(path.get("path")).startswith("/dev/")
        ]
        if len(paths) > 1 and set(limits) != {1}:
            raise InvalidValueError(f"{where}: a path with `limit` beside others is not supported")
        resource.setdefault("zipped", []).append({"paths": zipped})
        return limits[0]
    if isinstance(usbs, list) and usbs and not paths:
        found = [{"usb": _usb(f"{where}.usb[{n}]", usb)} for n, usb in enumerate(usbs)]
        ignored.append(f"{where}.usb: each match is a device of its own, not all of them one")
        resource.setdefault("hardware", []).extend(found)
        return 1
    raise InvalidValueError(f"{where}: needs either `paths` or `usb`, a list")


def _path(where: str, path: Mapping[str, Any]) -> dict[str, object]:
    _refuse_unknown(where, path, _PATH_KEYS)
    rights = "r" if path.get("readOnly") else str(path.get("permissions", "mrw"))
    return {
        "path": path.get("path"),
        "containerPath": path.get("mountPath", ""),
        "permissions": "".join(letter for letter in "rwm" if letter in rights) or rights,
        "optional": path.get("optional", False),
        "followLinks": True,
    }


def _usb(where: str, usb: Any) -> dict[str, str]:
    if not isinstance(usb, Mapping):
        raise InvalidValueError(f"{where}: must be a map")
    _refuse_unknown(where, usb, {"vendor", "product", "serial"})
    return {key: _hex(value) if key != "serial" else str(value) for key, value in usb.items()}


def _hex(value: object) -> str:
    return f"{value:04x}" if isinstance(value, int) else str(value).lower().removeprefix("0x")


def _number(where: str, key: str, values: Any) -> int:
    number = values.get(key, 1) if isinstance(values, Mapping) else 1
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise InvalidValueError(f"{where}.{key}: must be a number above zero")
    return number


def _refuse_unknown(where: str, values: Any, known: set[str]) -> None:
    if not isinstance(values, Mapping):
        raise InvalidValueError(f"{where}: must be a map")
    for key in _unknown(values, known):
        raise InvalidValueError(f"{where}.{key}: is not a known key")


def _unknown(values: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    yield from (str(key) for key in values if key not in known)
