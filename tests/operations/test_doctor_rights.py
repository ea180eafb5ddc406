"""Which lines of the privilege table are in use, and what the process has mounted."""

from pathlib import Path

import pytest

from nodeplug.config.settings import AgentSettings, ClusterSettings, LabelSettings
from nodeplug.offers import OfferRule
from nodeplug.operations.doctor.mounts import Mount, covering, read_mounts
from nodeplug.operations.doctor.rights import switched_on

SETTINGS = AgentSettings(
    offers=(OfferRule(resource="a.b/c"), OfferRule(resource="a.b/d", inject="cdi-annotations")),
    cluster=ClusterSettings(remove_taint="a.b/starting"),
    labels=LabelSettings(enabled=True),
)


@pytest.mark.parametrize(
    ("setting", "on"),
    [
        ("labels.enabled=true", True),
        ("cluster.events=true", False),
        ("cluster.removeTaint=KEY", True),
        ("offers[].inject=cdi*", True),
        ("offers[].inject=cdi", False),
        ("offers[]", True),
        ("quarantine[]", False),
        ("labels.none=true", False),
        ("labels.enabled.none[]", False),
    ],
)
def test_a_setting_is_on_if_the_configuration_says_so(setting: str, on: bool) -> None:  # noqa: FBT001
    """In the words of the privilege table."""
    assert switched_on(setting, SETTINGS) is on


def test_nothing_is_on_where_nothing_is_said() -> None:
    """Neither are values that are empty."""
    assert not switched_on("cluster.removeTaint=KEY", AgentSettings())
    assert not switched_on("offers[].inject=cdi*", AgentSettings())


def test_the_last_of_the_deepest_mounts_covers_a_path(tmp_path: Path) -> None:
    """Spaces in a mount point are written in octal."""
    (tmp_path / "mountinfo").write_text(
        "1 0 0:1 / / rw - overlay overlay rw\n"
        "2 1 0:2 / /sys rw shared:7 - sysfs sysfs ro\n"
        "3 1 0:3 / /sys rw,relatime - sysfs sysfs rw\n"
        "4 1 0:4 / /a\\040b ro master:3 - ext4 /dev/x rw\n"
        "no mount\n"
    )
    mounts = read_mounts(tmp_path)
    assert covering(mounts, Path("/sys/class")) == Mount(Path("/sys"), "sysfs", False, False)
    assert covering(mounts, Path("/a b/c")) == Mount(Path("/a b"), "ext4", True, True)
    assert covering(mounts, Path("/a")) == Mount(Path("/"), "overlay", False, False)


def test_mounts_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    """Then nothing is claimed of them."""
    assert read_mounts(tmp_path) == []
    assert covering([], Path("/sys")) is None
