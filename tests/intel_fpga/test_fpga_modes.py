"""What the configuration says of cards, and what it must not say."""

import re
from typing import Any

import msgspec
import pytest
import yaml

from nodeplug_intel_fpga.layouts import DFL
from nodeplug_intel_fpga.settings import FpgaSettings
from support.fpga_host import ADDRESS, AF, AFU, FIRST, INTERFACE, REGION, FpgaHost, nodes
from support.repository import ROOT

PLUGIN = ROOT / "plugins/intel_fpga"
PROGRAMMED = {
    "name": "example.com/crypto",
    "interface": INTERFACE,
    "afu": AFU,
    "bitstream": "/srv/crypto.gbs",
    "sha256": "0" * 64,
}
NAME = "example.com/crypto"
OTHER = "0000:e2:00.0"


def programmed(**values: Any) -> list[dict[str, Any]]:
    return [PROGRAMMED | values]


@pytest.mark.parametrize("pattern", [OTHER, "*:e2:*", "0000:e[23]:00.0"])
async def test_a_card_may_have_a_mode_of_its_own(fake: FpgaHost, pattern: str) -> None:
    """By its address, or by a pattern of addresses."""
    fake.card()
    fake.card(address=OTHER)
    found = await fake.devices(cards={pattern: "region"})
    assert {each.id: each.resource for each in found.values()} == {
        FIRST: AF,
        f"fpga-{OTHER}-port0": REGION,
    }


async def test_the_first_pattern_that_matches_holds(fake: FpgaHost) -> None:
    """Exceptions stand before the rule."""
    fake.card()
    found = await fake.devices(mode="af", cards={ADDRESS: "regiondevel", "*": "region"})
    assert nodes(found[FIRST]) == ["dfl-port.0", "dfl-fme.0"]


async def test_the_mode_of_a_card_holds_for_its_virtual_functions(fake: FpgaHost) -> None:
    """They need not be listed."""
    card = fake.cards.add(DFL, ADDRESS, interfaces=[INTERFACE], afus={})
    fake.cards.add_virtual(DFL, "0000:e1:00.1", card, afus={0: AFU})
    (device,) = (await fake.devices(cards={ADDRESS: "region"})).values()
    assert device.resource == REGION


async def test_a_programmed_resource_keeps_its_name_whatever_is_loaded(fake: FpgaHost) -> None:
    """And is the only one that waits for the agent before a container starts."""
    fake.card("f" * 32)
    fake.card(address=OTHER)
    found = await fake.inventory(programming=programmed(cards=[ADDRESS]))
    assert found.devices[FIRST].resource == NAME
    assert found.devices[FIRST].healthy
    assert (set(found.resources), set(found.prepared)) == ({NAME, AF}, {NAME})


async def test_a_port_belongs_to_the_first_programmed_resource_that_fits(fake: FpgaHost) -> None:
    """Never to two."""
    fake.card()
    entries = programmed() + programmed(name="example.com/second")
    found = await fake.inventory(programming=entries)
    assert [each.resource for each in found.devices.values()] == [NAME]
    assert "example.com/second" in found.resources


async def test_a_card_of_another_interface_is_not_programmed(fake: FpgaHost) -> None:
    """Its bitstreams would not fit."""
    fake.card()
    entries = programmed(interface="1" * 32)
    assert (await fake.devices(programming=entries))[FIRST].resource == AF


async def test_a_virtual_function_is_not_programmed(fake: FpgaHost) -> None:
    """It has no engine."""
    card = fake.cards.add(DFL, ADDRESS, interfaces=[INTERFACE], afus={})
    fake.cards.add_virtual(DFL, "0000:e1:00.1", card, afus={0: AFU})
    (device,) = (await fake.devices(programming=programmed())).values()
    assert device.resource == AF


async def test_a_container_is_told_the_afu_that_it_will_find(fake: FpgaHost) -> None:
    """Not the one that is loaded before."""
    fake.card("1" * 32)
    edits = (await fake.devices(programming=programmed()))[FIRST].edits
    assert edits.envs["FPGA_DFL_PORT_0_AFU"] == AFU
    assert [each.host_path for each in edits.nodes] == ["/dev/dfl-port.0"]


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ({"mode": "afu"}, "Invalid enum value 'afu'"),
        ({"cards": {"*": "both"}}, "Invalid enum value 'both'"),
        ({"health": {"ignore": ["ids"]}}, "Invalid enum value 'ids'"),
        ({"pollSeconds": 0}, ">= 0.1"),
        ({"stateDir": "state"}, "stateDir: 'state' must be absolute"),
        ({"stateDir": "/a/../b"}, "stateDir: '/a/../b' must be absolute"),
        ({"programming": programmed(name="crypto")}, "resource name 'crypto'"),
        ({"programming": programmed(name=AF)}, "is a name that ids make"),
        ({"programming": programmed(interface="6952")}, "interface: '6952' needs 32"),
        ({"programming": programmed(afu="f" * 32)}, "needs 32 lower-case"),
        ({"programming": programmed(sha256="AB" * 32)}, "needs 64 lower-case"),
        ({"programming": programmed(bitstream="x.gbs")}, "bitstream: 'x.gbs' must be absolute"),
        ({"programming": programmed(cards=[])}, "length >= 1"),
        ({"programming": programmed() * 2}, f"name '{NAME}' is given twice"),
        ({"modes": "af"}, "unknown field `modes`"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(section: dict[str, Any], text: str) -> None:
    """With what would be right."""
    with pytest.raises(msgspec.ValidationError) as refusal:
        msgspec.convert(section, FpgaSettings)
    assert text in str(refusal.value)


async def test_no_engine_of_a_programmed_card_is_given_away(fake: FpgaHost) -> None:
    """Its holder could program the port that is ours to program."""
    other = "9346116da52d4ca8b06aa9a389ef7c8d"
    fake.card(AFU, AFU, interfaces=(INTERFACE, other))
    found = await fake.devices(mode="regiondevel", programming=programmed())
    assert nodes(found[f"fpga-{ADDRESS}-port1"]) == ["dfl-port.1"]


EXAMPLES = re.findall(r"```yaml\n(.*?)```", (PLUGIN / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_page_are_valid(example: str) -> None:
    """They are what people copy."""
    assert msgspec.convert(yaml.safe_load(example)["backends"]["intel_fpga"], FpgaSettings)
