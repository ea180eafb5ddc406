"""A key that is misspelt in the file of another plugin is named, wherever it stands."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from nodeplug.backend import BackendSpec, Translation
from nodeplug.values.errors import InvalidValueError
from nodeplug_custom.plugin import SPEC as CUSTOM
from nodeplug_intel_fpga.plugin import SPEC as FPGA
from nodeplug_nvidia_gpu.plugin import SPEC as NVIDIA
from nodeplug_sriov_net.plugin import SPEC as SRIOV

_PATH = {"path": "/dev/a*", "mountPath": "/x/", "type": "Device", "limit": 2, "optional": True}
_RIGHTS = {"path": "/dev/b", "type": "Mount", "permissions": "r", "readOnly": True}
_USB = {"vendor": "1050", "product": "0407", "serial": "1"}
_GROUPS = [{"count": 2, "paths": [_PATH, _RIGHTS]}, {"count": 1, "usb": [_USB]}]
FILES: dict[str, tuple[BackendSpec, Any]] = {
    "generic": (CUSTOM, {"domain": "a.b", "devices": [{"name": "aa", "groups": _GROUPS}]}),
    "smarter": (CUSTOM, [{"devicematch": "^a$", "nummaxdevices": 20}]),
    "nvidia": (
        NVIDIA,
        {
            "version": "v1",
            "flags": {"migStrategy": "mixed", "plugin": {"passDeviceSpecs": True}},
            "imex": {"channelIDs": [0], "required": True},
            "resources": {"gpus": [{"pattern": "T4", "name": "t4"}]},
            "sharing": {
                "timeSlicing": {
                    "renameByDefault": True,
                    "failRequestsGreaterThanOne": True,
                    "resources": [{"name": "gpu", "rename": "x", "devices": [0], "replicas": 4}],
                }
            },
        },
    ),
    "sriov": (
        SRIOV,
        {
            "resourceList": [
                {
                    "resourceName": "a",
                    "resourcePrefix": "a.b",
                    "deviceType": "netDevice",
                    "excludeTopology": True,
                    "selectors": [{"vendors": ["8086"], "drivers": ["x"], "pfNames": ["a#0-3"]}],
                }
            ]
        },
    ),
    "fpga": (
        FPGA,
        [
            {
                "kind": "AcceleratorFunction",
                "metadata": {"name": "a"},
                "spec": {"afuId": "d8424dc4a4a3c413f89e433683f9040b", "mode": "af"}
                | {"interfaceId": "69528db6eb31577a8c3668f9faa081f6"},
            },
            {"kind": "FpgaDevicePlugin", "spec": {"mode": "region"}},
        ],
    ),
}


def places(document: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each key."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        if isinstance(document, dict):
            yield (*above, key)
        if isinstance(value, dict | list):
            yield from places(value, (*above, key))


def misspelt(document: Any, place: tuple[Any, ...]) -> Any:
    """Return the document with two letters of a key exchanged."""
    document = copy.deepcopy(document)
    within = document
    for step in place[:-1]:
        within = within[step]
    key = place[-1]
    wrong = key[:1] + key[2] + key[1] + key[3:] if len(key) > 2 else f"{key}x"
    wrong = wrong if wrong != key else f"{key}x"
    entries = [(wrong if name == key else name, value) for name, value in within.items()]
    within.clear()
    within.update(entries)
    return document


def read(spec: BackendSpec, document: Any) -> Translation | None:
    assert spec.reader is not None
    try:
        return spec.reader(document)
    except InvalidValueError:
        return None


@pytest.mark.parametrize("kind", FILES)
def test_the_files_are_right_as_they_are(kind: str) -> None:
    """Or what follows would show nothing."""
    found = read(*FILES[kind])
    assert found is not None
    assert (found.refused, [*found.ignored]) == ([], [])


PLACES = [(kind, place) for kind in FILES for place in places(FILES[kind][1])]


@pytest.mark.parametrize(("kind", "place"), PLACES, ids=str)
def test_a_misspelt_key_is_refused(kind: str, place: tuple[Any, ...]) -> None:
    """It may have been what keeps others from a device."""
    spec, document = FILES[kind]
    found = read(spec, misspelt(document, place))
    assert found is None or found.refused
