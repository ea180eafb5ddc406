"""The operator's custom resources, read as configuration."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from nodeplug.config.load import Source, load_configuration
from nodeplug.values.errors import InvalidValueError
from nodeplug_intel_fpga.plugin import SPEC
from nodeplug_intel_fpga.reader import read
from support.fpga_host import AF, AFU, INTERFACE, REGION


def item(kind: str, name: str = "nlb0", **spec: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name}, "spec": spec}


def af(name: str = "nlb0", **spec: Any) -> dict[str, Any]:
    return item("AcceleratorFunction", name, **{"interfaceId": INTERFACE, "afuId": AFU} | spec)


def listed(*items: object) -> dict[str, Any]:
    return {"kind": "List", "items": [*items]}


def test_friendly_names_become_renames() -> None:
    """Pods that ask for them are served without a webhook."""
    found = read(listed(af(mode="af"), item("FpgaRegion", "a10", interfaceId=INTERFACE)))
    assert found.offers == [
        {"resource": AF, "rename": "fpga.intel.com/nlb0"},
        {"resource": REGION, "rename": "fpga.intel.com/a10"},
    ]
    assert (found.section, found.refused, found.ignored) == ({}, [], [])


def test_objects_may_be_documents_of_one_file(tmp_path: Path) -> None:
    """As those who wrote them apply them."""
    file = tmp_path / "names.yaml"
    objects = [af(mode="af"), item("FpgaRegion", "a10", interfaceId=INTERFACE)]
    file.write_text(yaml.safe_dump_all(objects))
    found = load_configuration([Source(file, "intel_fpga")], {"intel_fpga": SPEC})
    assert [each.rename for each in found.agent.offers] == [
        "fpga.intel.com/nlb0",
        "fpga.intel.com/a10",
    ]


def test_the_mode_is_taken_over_and_the_rest_is_the_deployments() -> None:
    """Images and node selectors are named as ignored."""
    found = read(item("FpgaDevicePlugin", mode="region", image="x", nodeSelector={}))
    assert found.section == {"mode": "region"}
    assert found.ignored == [
        "FpgaDevicePlugin: spec.image is a matter of the deployment",
        "FpgaDevicePlugin: spec.nodeSelector is a matter of the deployment",
    ]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (af(mode="region"), "spec.mode: what is to be programmed needs an entry in programming"),
        (af(afuId="d8424dc4"), "spec.afuId: 'd8424dc4' needs 32 hexadecimal digits"),
        (af(interfaceId=None), "spec.interfaceId: 'None' needs 32 hexadecimal digits"),
        (af("a b"), "resource name 'fpga.intel.com/a b' needs 1 to 63"),
        (af("other"), f"{AF} is fpga.intel.com/nlb0 already"),
        (item("FpgaDevicePlugin", mode="both"), "spec.mode: 'both' is none of af, region"),
        (item("FpgaDevicePlugin", moed="region"), "spec.moed: is not a known key"),
        (af(mod="region"), "spec.mod: is not a known key"),
        (item("FpgaRegion", "x", interfaceId=INTERFACE, afu="1"), "spec.afu: is not a known key"),
        ({"kind": "FpgaRegion"}, "spec.interfaceId: 'None' needs 32 hexadecimal digits"),
        ({"kind": "FpgaRegion", "spec": "x"}, "spec: is no mapping"),
        (af() | {"metadata": [1]}, "metadata: is no mapping"),
        (af("") | {"metadata": {"name": ""}}, "resource name 'fpga.intel.com/' needs 1 to 63"),
        (af() | {"metadata": {}}, "resource name 'fpga.intel.com/' needs 1 to 63"),
    ],
)
def test_a_wrong_object_is_refused_alone(wrong: dict[str, Any], text: str) -> None:
    """The others are taken over."""
    found = read(listed(af(), wrong))
    assert len(found.offers) == 1
    (line,) = found.refused
    assert line.startswith(f"items[1]: {text}")


def test_other_objects_are_ignored_by_name() -> None:
    """A List may hold anything."""
    assert read(listed(item("Pod"), af())).ignored == ["items[0]: kind 'Pod' is not about FPGAs"]


@pytest.mark.parametrize("document", [None, "text", 7, [1], {"kind": "List"}, listed("x")])
def test_a_file_without_objects_is_refused(document: object) -> None:
    """It is another file."""
    with pytest.raises(InvalidValueError, match="needs Kubernetes objects"):
        read(document)
