"""Which devices a host has, and what containers get for them."""

import os
import stat

import pytest

from nodeplug.values.device import Device
from nodeplug.values.edits import NO_EDITS, DeviceNode, Mount
from nodeplug.values.inventory import Inventory
from support.custom_host import RESOURCE, FakeHost, devices, discover, settings


async def only(fake: FakeHost, entry: dict[str, str], **others: object) -> Device:
    (device,) = await devices(fake, entry, **others)
    return device


async def test_every_match_is_a_device(fake: FakeHost) -> None:
    """A pattern gives as many devices as it has matches."""
    for number in range(3):
        fake.file(f"/dev/a{number}")
    found = await devices(fake, {"path": "/dev/a*"})
    assert [device.id for device in found] == ["dev:a0", "dev:a1", "dev:a2"]


async def test_a_pattern_without_matches_leaves_the_resource_at_zero(fake: FakeHost) -> None:
    """Hardware that is not there yet is no error, and its resource is advertised."""
    inventory = await discover(fake, settings({"path": "/dev/none*"}))
    assert inventory == Inventory.of([], resources=[RESOURCE])


async def test_a_node_is_passed_as_a_device(fake: FakeHost) -> None:
    """The container gets the node at the same path, to read and write."""
    fake.node("/dev/a")
    device = await only(fake, {"path": "/dev/a", "type": "node"})
    assert device.edits.nodes == (DeviceNode("/dev/a", "/dev/a", "rw"),)


@pytest.mark.parametrize(("given", "passed"), [("mrw", "rwm"), ("r", "r"), ("wr", "rw")])
async def test_permissions_are_passed_in_the_runtimes_order(
    fake: FakeHost, given: str, passed: str
) -> None:
    """Any order is understood."""
    device = {"path": "/dev/a", "type": "char", "permissions": given}
    fake.node("/dev/a")
    assert (await only(fake, device)).edits.nodes[0].permissions == passed


@pytest.mark.parametrize(("permissions", "read_only"), [("rw", False), ("r", True)])
async def test_what_is_no_node_is_mounted(
    fake: FakeHost, permissions: str, *, read_only: bool
) -> None:
    """A file, directory or socket reaches the container as a bind mount."""
    fake.file("/run/a")
    device = await only(fake, {"path": "/run/a", "permissions": permissions})
    assert device.edits.mounts == (Mount("/run/a", "/run/a", read_only),)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("", "/dev/a/b"),
        ("/x/", "/x/b"),
        ("/x-{name}", "/x-b"),
        ("/x/{id}", "/x/dev:a:b"),
        ("/host{hostPath}", "/host/dev/a/b"),
        ("/{{{name}}}", "/{b}"),
    ],
)
async def test_the_place_in_the_container_can_be_chosen(
    fake: FakeHost, place: str, expected: str
) -> None:
    """As on the host, in a directory, or by a template."""
    fake.file("/dev/a/b")
    device = await only(fake, {"path": "/dev/*/b", "containerPath": place})
    assert device.edits.mounts[0].container_path == expected


async def test_templates_know_the_device(fake: FakeHost) -> None:
    """Every field, in an environment variable, an annotation and a mount."""
    fake.file("/dev/real")
    fake.path("/dev/by-id/link").symlink_to("../real")
    text = "{id} {name} {path} {hostPath} {realPath}"
    edits = (
        await only(
            fake,
            {"path": "/dev/by-id/*", "containerPath": "/x/"},
            env={"ALL": text},
            annotations={"all": text},
            mounts=[{"hostPath": "/var/{name}", "readOnly": False}],
        )
    ).edits
    filled = "dev:by-id:link link /x/link /dev/by-id/link /dev/real"
    assert (edits.envs, edits.annotations) == ({"ALL": filled}, {"all": filled})
    assert edits.mounts[1:] == (Mount("/var/link", "/var/link", read_only=False),)


async def test_a_link_is_followed_on_the_host_and_kept_in_the_container(fake: FakeHost) -> None:
    """The id is the link's, which outlives the node's number; the runtime gets the node."""
    fake.node("/dev/sdb", stat.S_IFBLK)
    fake.path("/dev/disk/by-id/ata-X").symlink_to("../../sdb")
    device = await only(fake, {"path": "/dev/disk/by-id/*", "type": "block"})
    assert device.edits.nodes == (DeviceNode("/dev/sdb", "/dev/disk/by-id/ata-X"),)
    assert device.id == "dev:disk:by-id:ata-X"
    assert device.attributes == {
        "hostPath": "/dev/disk/by-id/ata-X",
        "realPath": "/dev/sdb",
        "type": "block",
    }


async def test_a_link_that_leads_nowhere_is_an_unhealthy_device(fake: FakeHost) -> None:
    """The device is known by its link, and is not there."""
    fake.path("/dev/link").symlink_to("gone")
    assert (await only(fake, {"path": "/dev/l*"})).reason == "not present"


@pytest.mark.parametrize(
    ("kind", "wanted", "reason"),
    [
        (stat.S_IFCHR, "node", ""),
        (stat.S_IFBLK, "node", ""),
        (stat.S_IFBLK, "block", ""),
        (stat.S_IFCHR, "block", "is of type char, not block"),
        (stat.S_IFCHR, "file", "is of type char, not file"),
        (stat.S_IFREG, "node", "is of type file, not node"),
        (stat.S_IFIFO, "fifo", ""),
    ],
)
async def test_a_device_of_the_wrong_type_is_unhealthy(
    fake: FakeHost, kind: int, wanted: str, reason: str
) -> None:
    """A pattern that catches something else shows what it caught."""
    fake.node("/dev/a", kind)
    assert (await only(fake, {"path": "/dev/a", "type": wanted})).reason == reason


async def test_a_node_selected_twice_is_one_device_of_the_first_entry(fake: FakeHost) -> None:
    """Two links to one disk must not be given to two pods."""
    fake.file("/dev/sdb")
    for name in ("wwn-1", "ata-1"):
        fake.path(f"/dev/by-id/{name}").symlink_to("../sdb")
    found = await devices(fake, {"path": "/dev/by-id/*"}, {"path": "/dev/sd*"})
    assert [device.id for device in found] == ["dev:by-id:ata-1"]


async def test_a_node_selected_twice_is_logged(
    fake: FakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody has to guess why a match is no device."""
    caplog.set_level("INFO", "nodeplug.custom")
    fake.file("/dev/a")
    await devices(fake, {"path": "/dev/a"}, {"path": "/dev/*"})
    (record,) = caplog.records
    second, first = {"path": "/dev/a", "pattern": "/dev/*"}, "/dev/a"
    assert vars(record)["nodeplug"] == {
        "count": 1,
        "some": [second | {"served_as": first, "served_by": first}],
    }


@pytest.mark.parametrize(
    "name", ["a\nb", "a,b", "a\x1b[2Jb", "a\u202eb", os.fsdecode(b"a\xffb")], ids=ascii
)
async def test_a_hostile_name_is_unhealthy_and_gets_nothing(fake: FakeHost, name: str) -> None:
    """A name that could forge a line or a list never reaches a container, a log or a screen."""
    fake.file(f"/dev/{name}")
    device = await only(fake, {"path": "/dev/a*"}, env={"NAME": "{name}"})
    assert device.reason == "its path has a comma or an unprintable character"
    assert device.edits == NO_EDITS
    assert str(device.attributes["hostPath"]).isprintable()


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a b", "aü漢", "a$(b)", "a{id}b", "a" * 255])
async def test_an_unusual_name_is_served(fake: FakeHost, name: str) -> None:
    """Quotes, spaces, braces and length are harmless where nothing interprets them."""
    fake.file(f"/dev/{name}")
    device = await only(fake, {"path": "/dev/a*"}, env={"NAME": "{name}"})
    assert (device.healthy, device.edits.envs) == (True, {"NAME": name})


@pytest.mark.parametrize(("letter", "kept"), [("x", 61), ("é", 29)])
async def test_a_long_path_keeps_its_end_among_the_attributes(
    fake: FakeHost, letter: str, kept: int
) -> None:
    """The end is what tells devices apart; an attribute holds 64 bytes."""
    path = f"/dev/{letter * 70}7"
    fake.file(path)
    device = await only(fake, {"path": "/dev/*"})
    assert device.attributes["hostPath"] == f"…{path[-kept:]}"
