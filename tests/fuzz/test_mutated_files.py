"""Files of other plugins with a mistake in them: it is named, or the file means what it meant."""

import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodeplug.config.document import convert
from nodeplug.loader import load
from nodeplug.offers import OfferRule
from nodeplug.values.errors import ConfigError, InvalidValueError

FILE = Path("f")
SQUAT = {
    "domain": "squat.ai",
    "devices": [
        {
            "name": "serial",
            "groups": [
                {"paths": [{"path": "/dev/ttyUSB*", "mountPath": "/dev/tty0", "limit": 1}]},
                {
                    "count": 3,
                    "paths": [
                        {"path": "/dev/fuse", "permissions": "r", "type": "Device"},
                        {"path": "/dev/x", "type": "Mount", "readOnly": True, "optional": True},
                    ],
                },
                {"usb": [{"vendor": "1050", "product": "0407", "serial": "A7"}]},
            ],
        }
    ],
}
SMARTER = [
    {"devicematch": "^ttyUSB[0-9]$", "nummaxdevices": 1},
    {"devicematch": "^video[0-9]*$", "nummaxdevices": 20},
]
NVIDIA = {
    "version": "v1",
    "flags": {
        "migStrategy": "mixed",
        "failOnInitError": True,
        "plugin": {
            "passDeviceSpecs": True,
            "deviceListStrategy": "envvar",
            "deviceIDStrategy": "uuid",
        },
    },
    "imex": {"channelIDs": [0], "required": True},
    "resources": {"gpus": [{"pattern": "T4", "name": "t4"}]},
    "sharing": {
        "timeSlicing": {
            "renameByDefault": True,
            "failRequestsGreaterThanOne": True,
            "resources": [
                {"name": "nvidia.com/gpu", "replicas": 4, "devices": [0]},
                {"name": "t4", "replicas": 2, "rename": "t4-shared"},
            ],
        }
    },
}
SRIOV = {
    "resourceList": [
        {
            "resourceName": "net",
            "resourcePrefix": "intel.com",
            "deviceType": "netDevice",
            "excludeTopology": True,
            "selectors": [
                {
                    "vendors": ["8086"],
                    "devices": ["154c", "10ed"],
                    "drivers": ["iavf"],
                    "pfNames": ["enp0s0f0#0-3,5"],
                    "rootDevices": ["0000:86:00.0"],
                    "linkTypes": ["ether"],
                    "isRdma": True,
                    "needVhostNet": True,
                }
            ],
        }
    ]
}
FPGA = {
    "apiVersion": "v1",
    "kind": "List",
    "items": [
        {"kind": "FpgaDevicePlugin", "spec": {"mode": "region", "image": "plugin:1"}},
        {
            "kind": "AcceleratorFunction",
            "metadata": {"name": "nlb"},
            "spec": {
                "afuId": "d8424dc4a4a3c413f89e433683f9040b",
                "interfaceId": "69528db6eb31577a8c3668f9faa081f6",
                "mode": "af",
            },
        },
    ],
}
FILES: dict[str, tuple[str, Any]] = {
    "squat": ("custom", SQUAT),
    "smarter": ("custom", SMARTER),
    "nvidia": ("nvidia_gpu", NVIDIA),
    "sriov": ("sriov_net", SRIOV),
    "fpga": ("intel_fpga", FPGA),
}
# Where Kubernetes objects have keys that are nobody's here.
FREE = {"metadata", "apiVersion"}
CONTAINERS = (dict, list)
Place = tuple[Any, ...]


def read(backend: str, document: object) -> tuple[object, list[str], list[str]]:
    """Return what a file comes to, what is refused and ignored of it; None where all of it is."""
    spec = load(backend)
    assert spec.reader is not None
    try:
        found = spec.reader(document)
        section = convert(found.section, spec.settings, FILE)
        offers = convert(list(found.offers), list[OfferRule], FILE)
    except (ConfigError, InvalidValueError) as error:
        return None, [str(error)], []
    return (section, offers), [*found.refused], [*found.ignored]


def meaning(backend: str, document: object) -> tuple[object, list[str]]:
    """Return what a file comes to, and everything that is told of it; None where it is refused."""
    found, refused, ignored = read(backend, document)
    return found, refused + ignored


def places(document: object, at: Place = ()) -> Iterator[Place]:
    """Yield where every key and entry of a document is."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield (*at, key)
            yield from places(value, (*at, key))
    elif isinstance(document, list):
        for number, value in enumerate(document):
            yield (*at, number)
            yield from places(value, (*at, number))


def parent_of(document: Any, place: Place) -> Any:
    for step in place[:-1]:
        document = document[step]
    return document


def keys(document: object) -> list[Place]:
    return [p for p in places(document) if isinstance(p[-1], str) and not FREE & {*p}]


MISSPELT: list[Callable[[str], str]] = [
    lambda key: f"{key}s2",
    lambda key: f"{key[:-2]}_{key[-1]}",
    lambda key: f"{key[1:]}{key[0]}_",
    lambda key: f"{key}-",
]
others = st.sampled_from([7.5, True, "", "x\0y", -1, [[]], {"a": {}}, ["a", {}], [7], 1 << 70])


@pytest.fixture(name="file", params=FILES)
def _file(request: pytest.FixtureRequest) -> tuple[str, Any]:
    return FILES[request.param]


mutating = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def test_the_files_themselves_are_understood(file: tuple[str, Any]) -> None:
    """Nothing of them is refused."""
    backend, document = file
    reader = load(backend).reader
    assert reader is not None
    assert (meaning(*file)[0] is not None, reader(document).refused) == (True, [])


@pytest.mark.parametrize("misspelt", MISSPELT)
def test_every_misspelt_key_is_refused_by_name(
    file: tuple[str, Any], misspelt: Callable[[str], str]
) -> None:
    """It may have been what keeps others from a device."""
    backend, original = file
    for place in keys(original):
        document, wrong = copy.deepcopy(original), misspelt(place[-1])
        parent = parent_of(document, place)
        parent[wrong] = parent.pop(place[-1])
        refused = read(backend, document)[1]
        assert any(wrong in line for line in refused), (place, wrong, refused)


@mutating
@given(data=st.data())
def test_a_value_of_another_type_is_told(file: tuple[str, Any], data: st.DataObject) -> None:
    """Unless the file means what it meant; where text stands, any scalar is text."""
    backend, original = file
    document = copy.deepcopy(original)
    place = data.draw(st.sampled_from([p for p in places(document) if not FREE & {*p}]))
    parent, value = parent_of(document, place), data.draw(others)
    before = parent[place[-1]]
    if isinstance(value, type(before)) or (
        isinstance(before, str) and not isinstance(value, CONTAINERS)
    ):
        return
    if place[-1] == "devices" and type(value) is int:  # a count is as good as a list
        return
    parent[place[-1]] = value
    assert is_told(file, (backend, document)), (place, before, value, meaning(backend, document))


@mutating
@given(data=st.data())
def test_a_key_in_the_wrong_place_is_told(file: tuple[str, Any], data: st.DataObject) -> None:
    """Wherever nothing of its kind stands; unless the file means what it meant."""
    backend, original = file
    document = copy.deepcopy(original)
    place = data.draw(st.sampled_from(keys(document)))
    here = [each for each in place[:-1] if isinstance(each, str)]
    targets = [
        each
        for each in ((), *places(document))
        if isinstance(_at(document, each), Mapping)
        and [step for step in each if isinstance(step, str)] != here
        and each[: len(place)] != place
        and not FREE & {*each}
        and place[-1] not in _at(document, each)
    ]
    if not targets:
        return
    target = data.draw(st.sampled_from(targets))
    into = _at(document, target)
    into[place[-1]] = parent_of(document, place).pop(place[-1])
    assert is_told(file, (backend, document)), (place, target, meaning(backend, document))


def is_told(before: tuple[str, Any], after: tuple[str, Any]) -> bool:
    """Return whether a file means what another meant, or something new is said of it."""
    (known, said), (found, told) = meaning(*before), meaning(*after)
    return found == known or bool(set(told) - set(said))


def _at(document: Any, place: Place) -> Any:
    for step in place:
        document = document[step]
    return document
