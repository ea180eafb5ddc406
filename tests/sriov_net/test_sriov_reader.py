"""The configuration file of the SR-IOV network device plugin, read unchanged."""

from pathlib import Path
from typing import Any

import pytest

from nodeplug.config.load import Source, load_configuration
from nodeplug.values.errors import BrokenSectionError, ConfigError, InvalidValueError
from nodeplug_sriov_net.plugin import SPEC
from nodeplug_sriov_net.reader import read
from nodeplug_sriov_net.settings import SriovNetSettings

# As that plugin's documentation and its operator write it.
FILE = """\
{
  "ResourceList": [
    {
      "resourceName": "intel_sriov_netdevice",
      "selectors": {"vendors": ["8086"], "devices": ["154c", "10ed"], "drivers": ["i40evf"]}
    },
    {
      "resourceName": "mlnx_rdma",
      "resourcePrefix": "nvidia.com",
      "excludeTopology": true,
      "additionalInfo": {"*": {"token": "abc"}},
      "selectors": [{"pfNames": ["ens2f0#0-3,7"], "IsRdma": true, "needVhostNet": null}]
    },
    {"resourceName": "fpga", "deviceType": "accelerator", "selectors": {"acpiIndexes": ["101"]}},
    {"resourceName": "sf", "deviceType": "auxNetDevice", "selectors": {"auxTypes": ["sf"]}},
    {"resourceName": "all", "selectors": null}
  ]
}
"""


def one(**pool: Any) -> dict[str, Any]:
    return {"resourceList": [{"resourceName": "a", **pool}, {"resourceName": "right"}]}


def test_a_file_is_read_unchanged(tmp_path: Path) -> None:
    """Keys in any case, one selector or a list, prefixes given or not."""
    file = tmp_path / "config.json"
    file.write_text(FILE)
    configuration = load_configuration([Source(file, "sriov_net")], {"sriov_net": SPEC})
    section = configuration.sections["sriov_net"]
    assert isinstance(section, SriovNetSettings)
    pools = {pool.name: pool for pool in section.pools}
    rdma = pools["nvidia.com/mlnx_rdma"]
    assert [*pools] == [
        "intel.com/intel_sriov_netdevice",
        "nvidia.com/mlnx_rdma",
        "intel.com/fpga",
        "intel.com/sf",
        "intel.com/all",
    ]
    assert (rdma.selectors[0].pf_names, rdma.selectors[0].is_rdma) == (("ens2f0#0-3,7",), True)
    assert (rdma.exclude_topology, rdma.additional_info) == (True, {"*": {"token": "abc"}})


def test_of_a_key_in_two_cases_the_last_holds() -> None:
    """As that plugin takes it."""
    found = read(one(selectors={"vendors": ["8086"], "VENDORS": ["15b3"]}))
    assert found.section["pools"][0]["selectors"] == [{"vendors": ["15b3"]}]  # type: ignore[index]


@pytest.mark.parametrize(
    ("pool", "problem"),
    [
        ({"resourceName": ""}, "resourceName: is missing"),
        ({"resourceName": "a/b"}, "resourcePrefix, resourceName: 'intel.com/a/b' needs the form"),
        ({"resourcePrefix": "Bad"}, "resourcePrefix, resourceName: 'Bad/a' needs a lower-case"),
        ({"deviceType": "gpu"}, "deviceType: Invalid enum value 'gpu'"),
        (
            {"deviceType": "netdevice", "selectors": {"vendors": ["8086"]}},
            "deviceType: Invalid enum value 'netdevice'",
        ),
        ({"selector": {"vendors": ["8086"]}}, "selector: is not a known key"),
        ({"selectors": {"vendors": ["8086"], "pfName": ["a"]}}, "selectors.pfName: is not a known"),
        (
            {"deviceType": "accelerator", "selectors": {"pfNames": ["a"]}},
            "selectors.pfNames: means nothing for accelerator",
        ),
        ({"selectors": []}, "selectors: is an empty list"),
        ({"selectors": "all"}, "selectors: is no object"),
        ({"selectors": {"vendors": "8086"}}, "selectors[0].vendors: Expected `array`, got `str`"),
        ({"selectors": {"pfNames": ["a#1-"]}}, "'1-' is no index and no range"),
        ({"selectors": {"pfNames": ["!a"]}}, "selectors.pfNames: '!a' can match nothing"),
        ({"selectors": {"pciAddresses": ["0000:3b:00.0#1-3"]}}, "#1-3' is no PCI address"),
        ({"selectors": {"pciAddresses": ["0000:3b:02.8"]}}, "'0000:3b:02.8' is no PCI address"),
        ({"selectors": {"pciAddresses": ["0000:3b:*"]}}, "'0000:3b:*' can match nothing"),
        ({"selectors": {"rootDevices": ["ens1#0-3"]}}, "'ens1#0-3' is no PCI address"),
        ({"selectors": {"devices": ["15*"]}}, "'15*' can match nothing"),
        ({"selectors": {"acpiIndexes": ["first"]}}, "'first' is no number"),
        ({"selectors": {"linkTypes": ["Ethernet"]}}, "'Ethernet' is no kind of link, such as"),
        ({"selectors": {"pKeys": ["0xfffff"]}}, "'0xfffff' is no partition key"),
        ({"selectors": {"vdpaType": "x"}}, "selectors[0].vdpaType: Invalid enum value 'x'"),
        ({"selectors": {"isRdma": True, "vdpaType": "vhost"}}, "isRdma: contradicts vdpaType"),
        ({"deviceType": "auxNetDevice"}, "selectors: are missing"),
        ({"excludeTopology": "yes"}, "excludeTopology: Expected `bool`, got `str`"),
        ({"additionalInfo": {"*": "x"}}, "additionalInfo[...]: Expected `object`, got `str`"),
    ],
    ids=str,
)
def test_a_wrong_pool_is_refused_alone(pool: dict[str, Any], problem: str) -> None:
    """Named by its place in the file; the next one is served."""
    found = read(one(**pool))
    (line,) = found.refused
    assert line.startswith("resourceList[0]: ")
    assert problem in line
    assert found.section["pools"][-1]["name"] == "intel.com/right"  # type: ignore[index]


def test_the_second_pool_of_a_name_is_refused() -> None:
    """The first is served."""
    found = read(one(resourceName="right"))
    assert found.refused == [
        "resourceList[1]: resourceName: 'intel.com/right' is given to two pools"
    ]


def test_an_unknown_key_beside_the_list_is_refused() -> None:
    """The pools are served."""
    found = read({**one(), "resourcePrefix": "a.b"})
    assert found.refused == ["resourcePrefix: is not a known key"]
    assert len(found.section["pools"]) == 2  # type: ignore[arg-type]


def test_a_text_is_no_pattern() -> None:
    """That plugin has none: a star is a star."""
    found = read(one(selectors={"pfNames": ["ens*"]}))
    assert found.section["pools"][0]["selectors"] == [{"pfNames": ["ens[*]"]}]  # type: ignore[index]


@pytest.mark.parametrize("document", [None, [], {}, {"resourceList": []}, {"resourceList": {}}])
def test_a_file_without_pools_is_refused_as_a_whole(document: object) -> None:
    """It is some other file."""
    with pytest.raises(InvalidValueError):
        read(document)


def test_broken_json_is_named_with_line_and_column(tmp_path: Path) -> None:
    """And harms this backend only."""
    file = tmp_path / "config.json"
    file.write_text('{"resourceList": [\n  {"resourceName": "a",, }]}')
    section = load_configuration([Source(file, "sriov_net")], {"sriov_net": SPEC}).sections
    broken = section["sriov_net"]
    assert isinstance(broken, BrokenSectionError)
    (error,) = broken.errors
    assert isinstance(error, ConfigError)
    assert f"{file}: line 2, column 24:" in str(error)
