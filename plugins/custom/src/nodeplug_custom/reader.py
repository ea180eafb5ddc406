"""The files of two plugins that serve any device: squat's and Arm's."""

from collections.abc import Mapping

from nodeplug.backend import Translation
from nodeplug.values.errors import InvalidValueError
from nodeplug_custom.reader_smarter import read_smarter
from nodeplug_custom.reader_squat import DOMAIN, read_squat

# Flags of the process itself, which may stand in the file, too.
_FLAGS = frozenset({"config", "listen", "log-level", "plugin-directory", "version"})
_DEVICES = ("devices", "device")


def read(document: object) -> Translation:
    """Return what a file means here.

    A list of `devicematch` is smarter-device-manager's; a list of devices with groups, or a map
    with such a list and a domain, is the generic device plugin's.
    """
    if isinstance(document, list):
        if any(isinstance(entry, Mapping) and "devicematch" in entry for entry in document):
            return read_smarter(document)
        return read_squat(document, DOMAIN)
    if not isinstance(document, Mapping):
        raise InvalidValueError(
            "(top level): is neither a list of `devicematch` nor devices with `name` and `groups`"
        )
    named = [key for key in _DEVICES if key in document]
    if len(named) > 1:
        raise InvalidValueError("device: is another name of `devices`; give one of them")
    domain, devices = document.get("domain", DOMAIN), document[named[0]] if named else None
    if not isinstance(domain, str):
        raise InvalidValueError("domain: must be a text")
    found = read_squat(devices if isinstance(devices, list) else [devices], domain)
    others = [str(key) for key in document if key not in {"domain", *_DEVICES}]
    return Translation(
        section=found.section,
        offers=found.offers,
        refused=[*(f"{k}: is not a known key" for k in others if k not in _FLAGS), *found.refused],
        ignored=[f"{key}: has no meaning here" for key in others if key in _FLAGS],
        notes=found.notes,
    )
