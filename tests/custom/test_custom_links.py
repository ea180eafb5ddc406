"""Who can write to a selected directory does not choose what else of the host containers get."""

import socket
import stat
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from nodeplug.config.load import Source, load_configuration
from nodeplug.values.device import Device
from nodeplug.values.edits import NO_EDITS, Mount
from nodeplug.values.errors import AllocationRefusedError, BrokenSectionError
from nodeplug_custom.plugin import SPEC
from support.custom_host import RESOURCE, FakeHost, backend, devices, discover, settings, several

FOLLOWED: dict[str, Any] = {"followLinks": True}
OUT = "is a link that leads out of {}, which needs followLinks"


async def only(fake: FakeHost, entry: Mapping[str, Any]) -> Device:
    (device,) = await devices(fake, entry)
    return device


def link(fake: FakeHost, path: str, target: str) -> None:
    fake.path(path).symlink_to(target)


def zipped(**keys: object) -> dict[str, Any]:
    paths = [{"path": "/srv/share/*", **keys}]
    return {"name": RESOURCE, "zipped": [{"paths": paths}]}


@pytest.mark.parametrize(
    ("pattern", "path", "target", "folder"),
    [
        ("/srv/share/*", "/srv/share/x", "/etc/shadow", "/srv/share"),
        ("/srv/share/x", "/srv/share/x", "../../etc/shadow", "/srv/share"),
        ("/srv/share/*", "/srv/share/x", "/srv/share2/x", "/srv/share"),
        ("/srv/*/b/x", "/srv/a/b", "/etc", "/srv"),
        ("/dev/x*", "/dev/x", "/etc/shadow", "/dev"),
        ("/dev/shm/*", "/dev/shm/x", "/dev/mem", "/dev/shm"),
        ("/dev/*/x", "/dev/shm/x", "/dev/mem", "/dev/shm"),
    ],
)
async def test_a_link_out_of_the_selected_directory_is_refused(
    fake: FakeHost, pattern: str, path: str, target: str, folder: str
) -> None:
    """By whatever step it leads out; the device is Unhealthy, and nothing of it is given."""
    for place in ("/etc/shadow", "/etc/x", "/srv/share2/x", "/dev/mem"):
        fake.file(place)
    link(fake, path, target)
    device = await only(fake, {"path": pattern})
    assert (device.reason, device.edits) == (OUT.format(folder), NO_EDITS)


async def test_a_directory_is_not_led_out_of_either(fake: FakeHost) -> None:
    """The root of the host is one, too."""
    fake.file("/etc/shadow")
    link(fake, "/srv/share/y", "/")
    device = await only(fake, {"path": "/srv/share/*", "type": "directory"})
    assert (device.reason, device.edits) == (OUT.format("/srv/share"), NO_EDITS)


async def test_a_regular_expression_selects_from_dev(fake: FakeHost) -> None:
    """A link out of it is refused like that of a pattern."""
    fake.file("/etc/shadow")
    link(fake, "/dev/x", "/etc/shadow")
    assert (await only(fake, {"regex": "^x$"})).reason == OUT.format("/dev")


@pytest.mark.parametrize(
    ("pattern", "path", "target"),
    [
        ("/dev/disk/by-id/*", "/dev/disk/by-id/ata", "../../sda"),
        ("/dev/serial/by-id/ata", "/dev/serial/by-id/ata", "/dev/sda"),
        ("/srv/*", "/srv/x", "y/file"),
    ],
)
async def test_a_link_within_is_followed(
    fake: FakeHost, pattern: str, path: str, target: str
) -> None:
    """The links of udev lead from one place in /dev to another."""
    fake.file("/dev/sda")
    fake.file("/srv/y/file")
    link(fake, path, target)
    found = await devices(fake, {"path": pattern})
    assert [device.reason for device in found if device.attributes["hostPath"] == path] == [""]


async def test_a_selected_directory_may_be_a_link_itself(fake: FakeHost) -> None:
    """Its name is the configuration's, as /var/run is."""
    fake.file("/run/share/a")
    link(fake, "/var/run", "/run")
    assert (await only(fake, {"path": "/var/run/share/*"})).healthy


@pytest.mark.parametrize("entry", [{"path": "/dev/x*"}, {"regex": "^x$"}], ids=["path", "regex"])
async def test_followlinks_allows_it(fake: FakeHost, entry: Mapping[str, str]) -> None:
    """As all entries did before there was the key."""
    fake.file("/etc/shadow")
    link(fake, "/dev/x", "/etc/shadow")
    assert (await only(fake, {**entry, **FOLLOWED})).edits.mounts[0].host_path == "/etc/shadow"


@pytest.mark.parametrize("first", [True, False])
async def test_of_two_entries_the_first_that_selects_a_link_judges_it(
    fake: FakeHost, *, first: bool
) -> None:
    """The leave of another resource is not for it."""
    fake.file("/etc/shadow")
    link(fake, "/srv/share/x", "/etc/shadow")
    entries = [{"path": f"/srv/{name}*", "type": "file"} for name in ("share/", "share/x")]
    wanted = [
        {"name": f"example.com/r{n}", "devices": [each | {"followLinks": first == (n == 0)}]}
        for n, each in enumerate(entries)
    ]
    found = (await discover(fake, several(*wanted))).devices.values()
    assert [(each.resource, each.healthy) for each in found] == [("example.com/r0", first)]


@pytest.mark.parametrize("keys", [{}, FOLLOWED], ids=["refused", "followed"])
async def test_zipped_paths_are_judged_likewise(fake: FakeHost, keys: dict[str, object]) -> None:
    """A path that leads out is in no row."""
    fake.file("/etc/shadow")
    link(fake, "/srv/share/x", "/etc/shadow")
    found = (await discover(fake, several(zipped(**keys)))).devices.values()
    mounts = [mount.host_path for device in found for mount in device.edits.mounts]
    assert mounts == (["/etc/shadow"] if keys else [])


BY_PATH = {"name": RESOURCE, "devices": [{"path": "/srv/share/*", "type": "file"}]}


@pytest.mark.parametrize("resource", [BY_PATH, zipped()], ids=["path", "zipped"])
async def test_what_is_refused_is_explained(fake: FakeHost, resource: Mapping[str, Any]) -> None:
    """By the command and by the doctor."""
    fake.file("/etc/shadow")
    link(fake, "/srv/share/x", "/etc/shadow")
    wanted, reason = several(resource), OUT.format("/srv/share")
    assert SPEC.explain is not None
    assert SPEC.checks is not None
    assert reason in [each.reason for each in await SPEC.explain(wanted, fake.host)]
    told = {each.subject: each.finding for each in SPEC.checks(wanted, fake.host.root)}
    assert reason in told["/srv/share/x"]


async def test_what_is_refused_of_zipped_is_logged_once(
    fake: FakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """There is no device of which core could tell."""
    fake.file("/etc/shadow")
    link(fake, "/srv/share/x", "/etc/shadow")
    async with aclosing(backend(fake, several(zipped())).inventories()) as inventories:
        await anext(inventories)
        fake.file("/srv/share/a")
        await anext(inventories)
    told = [record for record in caplog.records if record.message == "links refused"]
    assert [[each["name"] for each in vars(r)["nodeplug"]["some"]] for r in told] == [
        ["/srv/share/x"]
    ]


@pytest.mark.parametrize("kind", ["devices", "zipped"])
async def test_what_has_become_a_link_since_the_look_is_not_given(
    fake: FakeHost, kind: str
) -> None:
    """The container runtime would follow it wherever it leads."""
    fake.file("/etc/shadow")
    fake.file("/srv/share/x")
    made = backend(fake, several(BY_PATH if kind == "devices" else zipped()))
    async with aclosing(made.inventories()) as inventories:
        found = [*(await anext(inventories)).devices.values()]
    fake.remove("/srv/share/x")
    link(fake, "/srv/share/x", "/etc/shadow")
    with pytest.raises(AllocationRefusedError, match=r"/srv/share/x of .* has become a link"):
        await made.allocate(RESOURCE, found)


@pytest.mark.parametrize(("permissions", "read_only"), [(None, True), ("rw", False)])
@pytest.mark.parametrize("kind", ["devices", "zipped"])
@pytest.mark.parametrize("what", ["file", "directory"])
async def test_files_and_directories_are_given_to_read_unless_told_otherwise(
    fake: FakeHost, what: str, kind: str, permissions: str | None, *, read_only: bool
) -> None:
    """Writing is to be asked for."""
    fake.file("/srv/share/x/file" if what == "directory" else "/srv/share/x")
    keys = {"permissions": permissions} if permissions else {}
    entry = {"path": "/srv/share/x", **keys}
    wanted = settings(entry | {"type": what}) if kind == "devices" else several(zipped(**entry))
    [device] = (await discover(fake, wanted)).devices.values()
    assert device.edits.mounts == (Mount("/srv/share/x", "/srv/share/x", read_only),)


async def test_a_socket_is_given_to_write(fake: FakeHost) -> None:
    """One cannot talk to a service otherwise."""
    with socket.socket(socket.AF_UNIX) as served:
        served.bind(str(fake.path("/run/s")))
        device = await only(fake, {"path": "/run/s", "type": "socket"})
    assert not device.edits.mounts[0].read_only


@pytest.mark.parametrize("kind", ["devices", "zipped"])
async def test_a_node_is_given_to_write(fake: FakeHost, kind: str) -> None:
    """A device that nobody may talk to is of no use."""
    fake.node("/srv/share/x", stat.S_IFCHR)
    wanted = settings({"path": "/srv/share/x", "type": "char"})
    found = await discover(fake, wanted if kind == "devices" else several(zipped()))
    [device] = found.devices.values()
    assert device.edits.nodes[0].permissions == "rw"


PEERS = {
    "squat": "[{name: a, groups: [{paths: [{path: /srv/share/*}]}]}]",
    "smarter": "[{devicematch: ^x$, nummaxdevices: 1}]",
}


@pytest.mark.parametrize("peer", PEERS)
async def test_files_of_other_plugins_keep_their_ways(
    fake: FakeHost, tmp_path: Path, peer: str
) -> None:
    """They follow every link."""
    fake.node("/etc/node")
    link(fake, "/srv/share/x", "/etc/node")
    link(fake, "/dev/x", "/etc/node")
    file = tmp_path / "peer.yaml"
    file.write_text(PEERS[peer])
    section = load_configuration([Source(file, "custom")], {"custom": SPEC}).sections["custom"]
    assert not isinstance(section, BrokenSectionError), str(section)
    [device] = (await discover(fake, section)).devices.values()
    assert device.edits.nodes[0].host_path == "/etc/node"


def test_that_other_plugins_follow_links_is_told(tmp_path: Path) -> None:
    """Where others than root may make some: outside of /dev."""
    file = tmp_path / "peer.yaml"
    file.write_text("[{name: a, groups: [{paths: [{path: /dev/x}, {path: /srv/share/*}]}]}]")
    told = load_configuration([Source(file, "custom")], {"custom": SPEC}).notes
    line = "[0].groups[0].paths[1]: links are followed wherever they lead, as that plugin does"
    assert told == [f"{file}: {line}"]
