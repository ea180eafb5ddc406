"""What is wrong with a configuration is named, and nothing else is affected."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nodeplug.config.load import Source, load_configuration
from nodeplug.values.errors import BrokenSectionError
from nodeplug_sriov_net.plugin import SPEC
from nodeplug_sriov_net.settings import SriovNetSettings
from support.command import write_config
from support.repository import ROOT
from support.sriov_host import POOL


@pytest.mark.parametrize(
    ("pool", "problem"),
    [
        ({"name": "pool"}, "name: resource name 'pool' needs the form <domain>/<name>"),
        ({"name": "Bad_Prefix/a"}, "needs a lower-case DNS domain"),
        ({"deviceType": "gpu"}, "Invalid enum value 'gpu'"),
        ({"selectors": []}, "length >= 1"),
        ({"selectors": {}}, "Expected `array`, got `object`"),
        ({"selectors": [{"vendor": ["8086"]}]}, "unknown field `vendor`"),
        ({"selectors": [{"vendors": "8086"}]}, "Expected `array`, got `str`"),
        ({"selectors": [{"vendors": ["intel"]}]}, "vendors: 'intel' is no id of four"),
        ({"selectors": [{"vendors": [""]}]}, "vendors: '' names nothing"),
        ({"selectors": [{"drivers": ["!"]}]}, "drivers: '!' names nothing"),
        ({"selectors": [{"pfNames": ["ens1#"]}]}, "pfNames: 'ens1#': '' is no index and no range"),
        ({"selectors": [{"pfNames": ["ens1#1-x"]}]}, "'1-x' is no index and no range"),
        ({"selectors": [{"pfNames": ["ens1#5-2"]}]}, "range '5-2' ends before it begins"),
        ({"selectors": [{"pfNames": ["#1"]}]}, "'#1' names nothing"),
        ({"selectors": [{"isRdma": True, "vdpaType": "vhost"}]}, "contradicts vdpaType"),
        ({"selectors": [{"vdpaType": "vdpa"}]}, "Invalid enum value 'vdpa'"),
        ({"selectors": [{}, {"auxTypes": ["sf"]}]}, "selectors[1].auxTypes: means nothing for"),
        ({"deviceType": "accelerator", "selectors": [{"pfNames": ["a"]}]}, "pfNames: means"),
        ({"deviceType": "auxNetDevice"}, "selectors: are missing"),
        ({"deviceType": "auxNetDevice", "selectors": [{"pfNames": ["a"]}]}, "auxTypes: is missing"),
        (
            {"deviceType": "auxNetDevice", "selectors": [{"auxTypes": ["eth"]}]},
            "'eth' is not known",
        ),
        ({"additionalInfo": {"*": {"a": 1}}}, "Expected `str`, got `int`"),
    ],
    ids=str,
)
def test_a_wrong_pool_is_refused(pool: dict[str, Any], problem: str) -> None:
    """With the key and the value."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert({"pools": [{"name": POOL, **pool}]}, SriovNetSettings)
    assert problem in str(caught.value)


def test_two_pools_of_one_name_are_refused() -> None:
    """Nobody could tell which is meant."""
    with pytest.raises(msgspec.ValidationError, match=r"'a\.b/c' is given to two pools; keep one"):
        msgspec.convert({"pools": [{"name": "a.b/c"}, {"name": "a.b/c"}]}, SriovNetSettings)


def test_health_that_netlink_tells_contradicts_doing_without_it() -> None:
    """Nobody would notice that it is not looked at."""
    section = {"netlink": "off", "pools": [{"name": "a.b/c", "health": {"linkState": True}}]}
    with pytest.raises(msgspec.ValidationError, match="netlink: 'off' contradicts the health of"):
        msgspec.convert(section, SriovNetSettings)


def test_a_wrong_pool_is_left_out_alone(tmp_path: Path) -> None:
    """The others are served, and the error names the pool."""
    pools = [{"name": "a.b/one"}, {"name": "no"}, {"name": "a.b/one"}, {"name": "a.b/two"}]
    file = write_config(tmp_path, {"backends": {"sriov_net": {"pools": pools}}})
    section = load_configuration([Source(file)], {"sriov_net": SPEC}).sections["sriov_net"]
    assert isinstance(section, BrokenSectionError)
    assert isinstance(section.remains, SriovNetSettings)
    assert [pool.name for pool in section.remains.pools] == ["a.b/one", "a.b/two"]
    assert ["pools[1]" in str(error) for error in section.errors] == [True, False]


def test_the_example_of_the_page_is_valid(tmp_path: Path) -> None:
    """Readers copy it."""
    page = (ROOT / "plugins/sriov_net/README.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "nodeplug.yaml").write_text(example)
    found = load_configuration([Source(tmp_path / "nodeplug.yaml")], {"sriov_net": SPEC})
    assert not found.errors
    assert len(found.sections["sriov_net"].pools) == 3  # type: ignore[union-attr]
