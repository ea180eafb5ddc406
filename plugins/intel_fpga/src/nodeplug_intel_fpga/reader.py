"""Reads what the Intel device plugins operator is told of FPGAs: its custom resources.

An AcceleratorFunction or FpgaRegion gives a resource a name of its own; a FpgaDevicePlugin has the
mode. They come one by one, or as a List such as kubectl prints.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from nodeplug.backend import Translation
from nodeplug.values.errors import InvalidValueError
from nodeplug.values.names import check_resource_name
from nodeplug_intel_fpga.ids import DOMAIN, af_resource, good_id, region_resource

# What of a FpgaDevicePlugin is about the operator's DaemonSet.
_DEPLOYMENT: Final = ("image", "initImage", "logLevel", "nodeSelector", "tolerations")
_KINDS: Final = ("AcceleratorFunction", "FpgaDevicePlugin", "FpgaRegion")
_MODES: Final = ("af", "region", "regiondevel")


class _Reading:
    """What has been read so far."""

    def __init__(self) -> None:
        self.mode = ""
        self.names: dict[str, str] = {}
        self.refused: list[str] = []
        self.ignored: list[str] = []

    def add(self, place: str, item: Mapping[str, Any]) -> None:
        """Take an object over, or say why not."""
        try:
            kind = _kind(item)
            spec = _part(item, "spec")
            if kind == "FpgaDevicePlugin":
                self._plugin(place, spec)
            elif kind == "AcceleratorFunction":
                self._rename(_af(spec), item)
            elif kind == "FpgaRegion":
                _only("spec.", spec, {"interfaceId"})
                self._rename(region_resource(_id(spec, "interfaceId")), item)
            else:
                self.ignored.append(f"{place}: kind {kind!a} is not about FPGAs")
        except ValueError as error:
            self.refused.append(f"{place}: {error}")

    def _plugin(self, place: str, spec: Mapping[str, Any]) -> None:
        _only("spec.", spec, {"mode", *_DEPLOYMENT})
        self.mode = spec.get("mode") or "af"
        if self.mode not in _MODES:
            unknown, self.mode = self.mode, ""
            raise ValueError(f"spec.mode: {unknown!a} is none of {', '.join(_MODES)}")
        for key in sorted(spec.keys() - {"mode"}):
            self.ignored.append(f"{place}: spec.{key!s} is a matter of the deployment")

    def _rename(self, resource: str, item: Mapping[str, Any]) -> None:
        name = check_resource_name(f"{DOMAIN}/{_part(item, 'metadata').get('name') or ''}")
        if self.names.setdefault(resource, name) != name:
            raise ValueError(f"{resource} is {self.names[resource]} already")


def read(document: object) -> Translation:
    """Return what the objects say in our words."""
    reading = _Reading()
    for place, item in _objects(document):
        reading.add(place, item)
    return Translation(
        section={"mode": reading.mode} if reading.mode else {},
        offers=[{"resource": native, "rename": name} for native, name in reading.names.items()],
        refused=reading.refused,
        ignored=reading.ignored,
    )


def _objects(document: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    items = document.get("items") if isinstance(document, dict) else document
    if isinstance(document, dict) and document.get("kind") != "List":
        items = [document]
    elif isinstance(document, dict):
        _only("", document, {"apiVersion", "kind", "metadata", "items"})
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidValueError("needs Kubernetes objects: one, or a List")
    for number, item in enumerate(items):
        yield (f"items[{number}]" if len(items) > 1 else str(item.get("kind"))), item


def _part(item: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = {} if item.get(key) is None else item[key]
    if not isinstance(part, dict):
        raise ValueError(f"{key}: is no mapping")  # noqa: TRY004 - of the file, not of a caller
    return part


def _af(spec: Mapping[str, Any]) -> str:
    _only("spec.", spec, {"afuId", "interfaceId", "mode"})
    interface, afu = _id(spec, "interfaceId"), _id(spec, "afuId")
    if spec.get("mode", "af") != "af":
        raise ValueError(
            "spec.mode: what is to be programmed needs an entry in programming, with its file"
        )
    return af_resource(interface, afu)


def _kind(item: Mapping[str, Any]) -> str:
    """Return what an object is; if that is ours, it has no unknown keys."""
    kind = str(item.get("kind") or "")
    if not kind or kind in _KINDS:
        _only("", item, {"apiVersion", "kind", "metadata", "spec", "status"})
    if not kind:
        raise ValueError("kind: is missing")
    return kind


def _only(place: str, part: Mapping[str, Any], known: Collection[str]) -> None:
    if others := [f"{place}{key!s}" for key in part if key not in known]:
        raise InvalidValueError(f"{', '.join(others)}: is not a known key")


def _id(spec: Mapping[str, Any], key: str) -> str:
    text = str(spec.get(key))
    if not good_id(text):
        raise ValueError(f"spec.{key}: {text[:40]!a} needs 32 hexadecimal digits")
    return good_id(text)
