"""What a container gets for several devices together."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from nodeplug.values.device import Device
from nodeplug.values.edits import NO_EDITS, ContainerEdits
from nodeplug_custom.settings import CustomSettings
from nodeplug_custom.templates import ANY_FIELDS, fields_of


class Joiner:
    """Joins the values that differ from device to device; the others agree already."""

    def __init__(self, settings: CustomSettings) -> None:
        self._envs = _all_varying({each.name: each.env for each in settings.resources})
        self._annotations = _all_varying({r.name: r.annotations for r in settings.resources})

    def edits(self, devices: Sequence[Device]) -> ContainerEdits:
        """Return the joined values, in the order of the devices."""
        if not (self._envs or self._annotations):
            return NO_EDITS
        envs = _join(_part(each.edits.envs, self._envs, each) for each in devices)
        annotations = _join(
            _part(each.edits.annotations, self._annotations, each) for each in devices
        )
        if not envs and not annotations:
            return NO_EDITS
        return ContainerEdits(envs=envs, annotations=annotations)


def _all_varying(templates: Mapping[str, Mapping[str, str]]) -> dict[str, frozenset[str]]:
    return {resource: names for resource, own in templates.items() if (names := _varying(own))}


def _varying(templates: Mapping[str, str]) -> frozenset[str]:
    return frozenset(name for name, text in templates.items() if fields_of(text, ANY_FIELDS))


def _part(
    values: Mapping[str, str], varying: Mapping[str, Collection[str]], device: Device
) -> dict[str, str]:
    names = varying.get(device.resource, ())
    return {name: value for name, value in values.items() if name in names}


def _join(parts: Iterable[Mapping[str, str]]) -> dict[str, str]:
    lists: dict[str, list[str]] = {}
    for part in parts:
        for name, value in part.items():
            lists.setdefault(name, []).append(value)
    return {name: ",".join(values) for name, values in lists.items()}
