"""The documented examples of two other plugins give their documented resources."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from nodeplug.config.load import Configuration, Source, load_configuration
from nodeplug.offers import make_offers
from nodeplug.values.device import Device
from nodeplug.values.edits import DeviceNode, Mount
from nodeplug.values.errors import BrokenSectionError
from nodeplug.values.hardware import EXCLUSIVE
from nodeplug_custom.plugin import SPEC
from support.clashes import clashes
from support.custom_host import discover
from support.hardware_tree import HardwareTree


def load(folder: Path, text: str) -> Configuration:
    file = folder / "peer.yaml"
    file.write_text(text)
    return load_configuration([Source(file, "custom")], {"custom": SPEC})


def squat_usb(usb: dict[str, str]) -> Any:
    return [{"name": "a", "groups": [{"usb": [usb]}]}]


def squat_path(**keys: Any) -> Any:
    return [{"name": "a", "groups": [{"paths": [{"path": "/dev/a", **keys}]}]}]


async def devices(tree: HardwareTree, text: str) -> list[Device]:
    section = load(tree.folder, text).sections["custom"]
    assert not isinstance(section, BrokenSectionError), str(section)
    return [*(await discover(tree, section)).devices.values()]


async def served(tree: HardwareTree, text: str) -> dict[str, list[tuple[str, list[str]]]]:
    """Return by public name the ids and nodes that a file would serve."""
    configuration = load(tree.folder, text)
    section = configuration.sections["custom"]
    assert not isinstance(section, BrokenSectionError), str(section)
    inventory = await discover(tree, section)
    return {
        name: [(o.id, [n.host_path for n in o.device.edits.nodes]) for o in offer.devices]
        for name, offer in make_offers(inventory, configuration.agent.offers).items()
    }


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> HardwareTree:
    return HardwareTree(tmp_path)


async def test_the_generic_device_plugin_s_serial_and_video(tree: HardwareTree) -> None:
    """Globs; a domain of one's own."""
    for name in ("ttyUSB0", "ttyACM0", "video0"):
        tree.char(f"/dev/{name}")
    text = """
    domain: devices.example.com
    devices:
      - name: serial
        groups:
          - paths: [{path: /dev/ttyUSB*}]
          - paths: [{path: /dev/ttyACM*}]
      - name: video
        groups: [{paths: [{path: /dev/video0}]}]
    """
    shown = await served(tree, text)
    assert {name: len(found) for name, found in shown.items()} == {
        "devices.example.com/serial": 2,
        "devices.example.com/video": 1,
    }


async def test_the_generic_device_plugin_s_fuse_for_ten(tree: HardwareTree) -> None:
    """A count is that many containers."""
    tree.char("/dev/fuse")
    shown = await served(tree, "[{name: fuse, groups: [{count: 10, paths: [{path: /dev/fuse}]}]}]")
    assert [len(found) for found in shown.values()] == [10]
    assert [*shown] == ["squat.ai/fuse"]


async def test_a_node_in_two_groups_of_a_device_has_the_larger_count(tree: HardwareTree) -> None:
    """That plugin numbers what both give in the same way."""
    for name in ("ttyUSB0", "ttyUSB1"):
        tree.char(f"/dev/{name}")
    groups = '{count: 2, paths: [{path: "/dev/tty*"}]}, {count: 3, paths: [{path: /dev/ttyUSB1}]}'
    shown = await served(tree, f"[{{name: aa, groups: [{groups}]}}]")
    assert [len(found) for found in shown.values()] == [5]


async def test_a_count_of_nothing_is_one_for_the_generic_device_plugin(tree: HardwareTree) -> None:
    """As a limit is."""
    tree.char("/dev/fuse")
    groups = "[{count: 0, paths: [{path: /dev/fuse, limit: 0}]}]"
    shown = await served(tree, f"[{{name: fuse, groups: {groups}}}]")
    assert [len(found) for found in shown.values()] == [1]


@pytest.mark.parametrize(
    "match", ["^ttyUSB[[:digit:]]+$", r"\AttyUSB\d\z", "[[:alpha:]_]B0", "^t{,2}|B0$"]
)
async def test_an_expression_is_read_as_go_reads_it(tree: HardwareTree, match: str) -> None:
    """Where Python reads another thing, or nothing."""
    for name in ("ttyUSB0", "ttyACM", "other"):
        tree.char(f"/dev/{name}")
    shown = await served(tree, f"[{{devicematch: '{match}', nummaxdevices: 1}}]")
    assert [*shown] == ["smarter-devices/ttyUSB0"]


async def test_the_generic_device_plugin_s_sound_card_and_capture(tree: HardwareTree) -> None:
    """Paths of a group are one device; a mount path is kept."""
    for name in ("snd/pcmC0D0c", "snd/controlC0"):
        tree.char(f"/dev/{name}")
    paths = "[{path: /dev/snd/pcmC0D0c, mountPath: /dev/x}, {path: /dev/snd/controlC0}]"
    shown = await served(tree, f"[{{name: capture, groups: [{{paths: {paths}}}]}}]")
    [(_, nodes)] = shown["squat.ai/capture"]
    assert nodes == ["/dev/snd/pcmC0D0c", "/dev/snd/controlC0"]


async def test_the_generic_device_plugin_s_usb_stick(tree: HardwareTree) -> None:
    """Ids may be numbers; all matches of a group are one device, as in that plugin."""
    tree.usb("1-2", "1050:0407", serial="1")
    tree.usb("1-3", "1050:0407", serial="2", number=6)
    text = '[{name: key, groups: [{usb: [{vendor: "1050", product: 0x0407}]}]}]'
    [(_, nodes)] = (await served(tree, text))["squat.ai/key"]
    assert nodes == ["/dev/bus/usb/001/005", "/dev/bus/usb/001/006"]
    assert load(tree.folder, text).ignored == []


async def test_the_generic_device_plugin_s_flag_has_hexadecimal_numbers(tree: HardwareTree) -> None:
    """As its JSON is read; and a serial number is no pattern."""
    tree.usb("1-2", "1050:0407", serial="1*")
    tree.usb("1-3", "1050:0407", serial="12", number=6)
    usb = {"vendor": 1050, "product": 407, "serial": "1*"}
    flag = json.dumps({"name": "key", "groups": [{"usb": [usb]}]})
    [(_, nodes)] = (await served(tree, yaml.safe_dump([flag])))["squat.ai/key"]
    assert nodes == ["/dev/bus/usb/001/005"]


async def test_the_generic_device_plugin_s_usb_ids_are_any_of_them(tree: HardwareTree) -> None:
    """A stick may have one id before its firmware is loaded, and another one after."""
    tree.usb("1-2", "1a6e:089a", serial="1")
    ids = '[{vendor: "18d1", product: "9302"}, {vendor: "1a6e", product: "089a"}]'
    shown = await served(tree, f"[{{name: coral, groups: [{{usb: {ids}}}]}}]")
    assert [len(found) for found in shown.values()] == [1]


async def test_groups_may_be_shared_by_different_counts(tree: HardwareTree) -> None:
    """What is exclusive stays so beside what many share; a limit shares nothing by itself."""
    for name in ("ttyUSB0", "ttyS0", "ttyS1"):
        tree.char(f"/dev/{name}")
    text = """
    - name: serial
      groups:
        - {count: 3, paths: [{path: "/dev/ttyUSB*"}]}
        - paths: [{path: "/dev/ttyS[^0]"}]
    """
    found = (await served(tree, text))["squat.ai/serial"]
    assert Counter(nodes[0] for _, nodes in found) == {"/dev/ttyUSB0": 3, "/dev/ttyS1": 1}


async def test_the_generic_device_plugin_s_node_of_all_devices(tree: HardwareTree) -> None:
    """A path with a limit is in so many of them."""
    for name in ("kfd", "dri/renderD128", "dri/renderD129"):
        tree.char(f"/dev/{name}")
    text = '[{name: gpu, groups: [{paths: [{path: /dev/kfd, limit: 10}, {path: "/dev/dri/r*"}]}]}]'
    found = [nodes for _, nodes in (await served(tree, text))["squat.ai/gpu"]]
    assert found == [["/dev/kfd", f"/dev/dri/renderD{n}"] for n in (128, 129)]


async def test_a_directory_as_a_device_of_the_generic_device_plugin(tree: HardwareTree) -> None:
    """Containers may open the nodes in it, below the place that it has there."""
    for name in ("dri/card0", "dri/deep/renderD128"):
        tree.char(f"/dev/{name}")
    (tree.folder / "dev/dri/link").symlink_to("card0")
    text = "[{name: dri, groups: [{count: 2, paths: [{path: /dev/dri, mountPath: /gpu/}]}]}]"
    [device] = await devices(tree, text)
    assert device.edits.nodes == (
        DeviceNode("/dev/dri/card0", "/gpu/dri/card0", "rwm"),
        DeviceNode("/dev/dri/deep/renderD128", "/gpu/dri/deep/renderD128", "rwm"),
    )


@pytest.mark.parametrize(
    ("keys", "read_only"), [({}, False), ({"readOnly": True}, True), ({"permissions": "r"}, True)]
)
async def test_a_mount_of_the_generic_device_plugin_is_one_whatever_it_is(
    tree: HardwareTree, keys: dict[str, Any], *, read_only: bool
) -> None:
    """No device that is mounted can be opened by that alone."""
    tree.char("/dev/a")
    [device] = await devices(tree, yaml.safe_dump(squat_path(type="Mount", **keys)))
    assert device.edits.nodes == ()
    assert device.edits.mounts == (Mount("/dev/a", "/dev/a", read_only),)


async def test_a_file_is_no_device_of_the_generic_device_plugin(tree: HardwareTree) -> None:
    """That one gives it as a device, which no container runtime can."""
    (tree.folder / "dev/a").touch()
    [device] = await devices(tree, yaml.safe_dump(squat_path()))
    assert device.reason == "/dev/a: is of type file, neither a device node nor a directory of them"


async def test_smarter_device_manager_s_directory_is_its_nodes(tree: HardwareTree) -> None:
    """As the file that it comes with has it."""
    for name in ("snd/controlC0", "snd/pcmC0D0p"):
        tree.char(f"/dev/{name}")
    shown = await served(tree, "[{devicematch: ^snd$, nummaxdevices: 2}]")
    nodes = ["/dev/snd/controlC0", "/dev/snd/pcmC0D0p"]
    assert shown == {"smarter-devices/snd": [(f"dev:snd::{n}", nodes) for n in range(2)]}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/dev/dri/card0", "/dev/dri/card0"),
        ("/dev/dri/card0", "/dev/dri/card*"),
        ("/dev/dri", "/dev/dri/card0"),
        ("/dev/dri/card[0-3]", "/dev/dri/card[01]"),
        ("/dev/dri/*0", "/dev/dri/card?"),
    ],
)
async def test_a_node_may_have_several_names(tree: HardwareTree, one: str, other: str) -> None:
    """The generic device plugin excludes nothing, so one name does not keep back the other."""
    tree.char("/dev/dri/card0")
    text = f"""
    - {{name: aa, groups: [{{paths: [{{path: "{one}"}}]}}]}}
    - {{name: bb, groups: [{{count: 2, paths: [{{path: "{other}"}}]}}]}}
    """
    assert [len(found) for found in (await served(tree, text)).values()] == [1, 2]
    told = [line.partition("peer.yaml: ")[2] for line in load(tree.folder, text).notes]
    what = "is named by several groups, and may be used by all"
    assert told == [f"squat.ai/aa: {one} {what}", f"squat.ai/bb: {other} {what}"]
    assert clashes(await devices(tree, text)) == set()


async def test_a_usb_device_may_have_several_names(tree: HardwareTree) -> None:
    """Likewise."""
    tree.usb("1-2", "1050:0407", serial="1")
    ids = '{vendor: "1050", product: "0407"'
    text = f"""
    - {{name: aa, groups: [{{usb: [{ids}}}]}}]}}
    - {{name: bb, groups: [{{usb: [{ids}, serial: "1"}}]}}]}}
    """
    assert [len(found) for found in (await served(tree, text)).values()] == [1, 1]
    assert clashes(await devices(tree, text)) == set()


async def test_what_one_group_names_is_exclusive(tree: HardwareTree) -> None:
    """Only what a file itself gives two names is for both."""
    tree.char("/dev/a")
    text = """
    - {name: aa, groups: [{paths: [{path: "/dev/[a-c]"}]}]}
    - {name: bb, groups: [{paths: [{path: "/dev/[d-f]"}]}]}
    """
    [device] = await devices(tree, text)
    assert [*device.hardware.values()] == [EXCLUSIVE]


async def test_groups_of_optional_paths_are_what_is_there(tree: HardwareTree) -> None:
    """One of them is enough."""
    tree.char("/dev/b")
    paths = ", ".join(f"{{path: /dev/{name}, optional: true}}" for name in "abc")
    shown = await served(tree, f"[{{name: any, groups: [{{paths: [{paths}]}}]}}]")
    assert shown == {"squat.ai/any": [("zip-dev:b", ["/dev/b"])]}


@pytest.mark.parametrize("mandatory", [True, False])
async def test_an_optional_path_that_is_there_is_of_every_device(
    tree: HardwareTree, *, mandatory: bool
) -> None:
    """As in that plugin: with fewer matches than others it is what limits the devices."""
    for name in ("ttyUSB0", "ttyUSB1", "ttyUSB2", "gpio0"):
        tree.char(f"/dev/{name}")
    tty = f'{{path: "/dev/ttyUSB*", optional: {str(not mandatory).lower()}}}'
    text = f'[{{name: x, groups: [{{paths: [{tty}, {{path: "/dev/gpio*", optional: true}}]}}]}}]'
    shown = await served(tree, text)
    assert shown == {"squat.ai/x": [("zip-dev:ttyUSB0", ["/dev/ttyUSB0", "/dev/gpio0"])]}
    tree.remove("/dev/gpio0")
    assert [len(found) for found in (await served(tree, text)).values()] == [3]


async def test_the_generic_device_plugin_s_flags_are_yaml(tree: HardwareTree) -> None:
    """As its manifests have them, text by text."""
    tree.char("/dev/fuse")
    text = """
    - |
      name: fuse
      groups:
        - count: 2
          paths:
            - path: /dev/fuse
    """
    assert [len(found) for found in (await served(tree, text)).values()] == [2]


MANIFEST = """
- |
  name: serial
  groups:
    - paths: [{path: /dev/ttyUSB*}]
    - paths: [{path: /dev/ttyACM*}]
- |
  name: video
  groups: [{paths: [{path: /dev/video0}]}]
- |
  name: fuse
  groups: [{count: 10, paths: [{path: /dev/fuse}]}]
- |
  name: audio
  groups: [{count: 10, paths: [{path: /dev/snd}]}]
- |
  name: capture
  groups:
    - paths: [{path: /dev/snd/controlC0}, {path: /dev/snd/pcmC0D0c}]
    - paths:
        - {path: /dev/snd/controlC1, mountPath: /dev/snd/controlC0}
        - {path: /dev/snd/pcmC1D0c, mountPath: /dev/snd/pcmC0D0c}
"""


async def test_all_of_the_generic_device_plugin_s_manifest_can_be_used_at_a_time(
    tree: HardwareTree,
) -> None:
    """Its sound devices have two names: one for all of them, one for a card."""
    cards = [f"/dev/snd/{name}" for name in ("controlC0", "controlC1", "pcmC0D0c", "pcmC1D0c")]
    for path in ("/dev/ttyUSB0", "/dev/ttyACM0", "/dev/video0", "/dev/fuse", *cards):
        tree.char(path)
    shown = await served(tree, MANIFEST)
    counts = {name.partition("/")[2]: len(found) for name, found in shown.items()}
    assert counts == {"serial": 2, "video": 1, "fuse": 10, "audio": 10, "capture": 2}
    assert {tuple(nodes) for _, nodes in shown["squat.ai/audio"]} == {tuple(cards)}
    assert [nodes for _, nodes in shown["squat.ai/capture"]] == [cards[0::2], cards[1::2]]
    found = await devices(tree, MANIFEST)
    assert (clashes(found), all(each.healthy for each in found)) == (set(), True)


async def test_the_file_in_a_configmap_is_read(tree: HardwareTree) -> None:
    """As it is applied to the cluster."""
    tree.char("/dev/vhost-net")
    text = """
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: smarter-device-manager}
    data:
      conf.yaml: |
        - devicematch: ^vhost-net$
          nummaxdevices: 1
    """
    assert [*await served(tree, text)] == ["smarter-devices/vhost-net"]


async def test_of_a_manifest_its_configmap_is_read(tree: HardwareTree) -> None:
    """As that plugin's own, which has a Namespace and a DaemonSet beside it."""
    tree.char("/dev/vhost-net")
    data = {"conf.yaml": "[{devicematch: ^vhost-net$, nummaxdevices: 1}]"}
    parts = [
        {"kind": "Namespace"},
        None,
        {"kind": "ConfigMap", "data": data},
        {"kind": "DaemonSet"},
    ]
    assert [*await served(tree, yaml.safe_dump_all(parts))] == ["smarter-devices/vhost-net"]


@pytest.mark.parametrize("parts", [2 * [{"kind": "ConfigMap", "data": {"a": "[]"}}], [[], []]])
def test_of_several_documents_it_must_be_known_which_is_meant(
    tmp_path: Path, parts: list[Any]
) -> None:
    """Half of the devices would be served nowhere."""
    problem = load(tmp_path, yaml.safe_dump_all(parts)).sections["custom"]
    assert str(problem).endswith("has several documents, one of which is meant")


@pytest.mark.parametrize(
    ("data", "found"),
    [({}, "none"), ({"a": "", "b": ""}, "'a', 'b'"), ({"a": 5}, "'a'"), (None, "none")],
    ids=str,
)
def test_a_configmap_of_several_files_is_refused(tmp_path: Path, data: Any, found: str) -> None:
    """Nobody said which."""
    text = yaml.safe_dump({"kind": "ConfigMap", "data": data})
    problem = load(tmp_path, text).sections["custom"]
    assert str(problem).endswith(f"data: needs one file of text, not {found}")


async def test_smarter_device_manager_s_names_keep_hyphens(tree: HardwareTree) -> None:
    """Pods ask for what that plugin calls a device; all else of its path is an underscore."""
    for name in ("i2c-1", "dfl-port.0", "net/tun"):
        tree.char(f"/dev/{name}")
    shown = await served(tree, '[{devicematch: "^(i2c|dfl|net/)", nummaxdevices: 1}]')
    assert {*shown} == {f"smarter-devices/{each}" for each in ("i2c-1", "dfl-port_0", "net_tun")}


async def test_smarter_device_manager_s_counts_are_those_of_entries(tree: HardwareTree) -> None:
    """Of two entries that match a path the later holds, as in that plugin."""
    for name in ("gpiomem", "video0", "ttyUSB0"):
        tree.char(f"/dev/{name}")
    text = """
    - {devicematch: ^ttyUSB, nummaxdevices: 7}
    - {devicematch: ^gpiomem$, nummaxdevices: 40}
    - {devicematch: "^video[0-9]*$", nummaxdevices: 20}
    - {devicematch: "^ttyUSB[0-9]*$", nummaxdevices: 1}
    - {devicematch: nvidia-gpu, nummaxdevices: 10}
    """
    shown = await served(tree, text)
    counts = {name.partition("/")[2]: len(found) for name, found in shown.items()}
    assert counts == {"gpiomem": 40, "video0": 20, "ttyUSB0": 1}


async def test_smarter_device_manager_s_list(tree: HardwareTree) -> None:
    """A resource for each node that matches, for as many containers as it says."""
    for name in ("snd/timer", "gpiochip0", "gpiomem"):
        tree.char(f"/dev/{name}")
    text = """
    - {devicematch: ^snd, nummaxdevices: 20}
    - {devicematch: "^gpiochip[0-9]*$", nummaxdevices: 20}
    """
    shown = await served(tree, text)
    assert {name: len(found) for name, found in shown.items()} == {
        "smarter-devices/snd": 20,
        "smarter-devices/snd_timer": 20,
        "smarter-devices/gpiochip0": 20,
    }


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("a: 1", "[0]: needs `name` and a list `groups`"),
        ("5", "(top level): is neither"),
        (
            [{"name": "a", "groups": [{"paths": [{"path": "/dev/a", "colour": 1}]}]}],
            "colour: is not",
        ),
        ([{"name": "a", "groups": [{"usb": [], "paths": []}]}], "needs either `paths` or `usb`"),
        ([{"name": "a", "groups": [{"count": -1, "paths": [{"path": "/a"}]}]}], "count: must be"),
        ([{"name": "a", "groups": [{"count": [], "paths": [{"path": "/a"}]}]}], "count: must be"),
        (squat_path(path="/dev/[a"), "paths[0].path: '/dev/[a' is no pattern"),
        (squat_path(path="/dev/a]\\"), "is no pattern"),
        ([{"devicematch": "a[[:x:]]", "nummaxdevices": 1}], "[0].devicematch: 'a[[:x:]]' is no"),
        ([{"name": "A B", "groups": [{"paths": [{"path": "/dev/a"}]}]}], "squat.ai/A B"),
        (
            [{"name": "a_", "groups": [{"count": 2, "paths": [{"path": "/dev/a"}]}]}],
            "[0].name: resource name 'squat.ai/a_'",
        ),
        ([{"name": "a", "groups": []}], "[0]: needs a list `groups`"),
        ([{"devicematch": "", "nummaxdevices": 1}], "[0]: needs `devicematch`"),
        (squat_path(path=""), "[0].groups[0].paths[0].path: '' must begin with '/'"),
        ([*squat_path(path=""), *squat_path()], "[0].groups[0].paths[0].path: '' must"),
        (squat_path(mountPath="dev/a"), "paths[0].mountPath: 'dev/a' must be absolute"),
        ([{"devicematch": "("}], "is no regular expression"),
        ([{"devicematch": 5}], "needs `devicematch`, a text"),
        ([{"devicematch": "a"}], "`nummaxdevices`, a number"),
        ([{"devicematch": "a", "nummaxdevices": 0}], "[0].nummaxdevices: must be"),
        ([{"devicematch": "a", "nummaxdevices": 100001}], "[0].nummaxdevices: must be"),
        ([{"devicematch": "a", "nummaxdevices": 1, "count": 2}], "[0].count: is not a known key"),
        ([{"devicematch": "a", "nummaxdevices": 1}, {"match": "b"}], "[1].match: is not a known"),
        ({"domian": "a.b", "devices": []}, "domian: is not a known key"),
        ({"device": [], "devices": []}, "device: is another name of `devices`"),
        ([{"groups": [{"paths": [{"path": "/dev/a"}]}]}], "[0].name: must be a text"),
        ([{"name": "a", "groups": [], "count": 2}], "[0].count: is not a known key"),
        (squat_usb({"product": "0407"}), "[0].groups[0].usb[0].vendor: must be four"),
        (squat_usb({"vendor": "*", "product": "0407"}), "usb[0].vendor: must be four"),
        (squat_usb({"vendor": "1", "product": "2", "serial": "!a"}), "usb[0].serial: must be"),
        (squat_usb({"vendor": "1", "product": "2", "port": "1-2"}), "usb[0].port: is not a known"),
        (squat_path(type="Directory"), "paths[0].type: must be Device or Mount"),
        (squat_path(permissions="rx"), "paths[0].permissions: must be of the letters"),
        (squat_path(readOnly="yes"), "paths[0].readOnly: must be true or false"),
        (squat_path(optional=1), "paths[0].optional: must be true or false"),
    ],
    ids=str,
)
def test_what_cannot_be_honoured_is_refused_by_its_place(
    tmp_path: Path, document: Any, problem: str
) -> None:
    """The rest of the file is served."""
    text = document if isinstance(document, str) else yaml.safe_dump(document)
    section = load(tmp_path, text).sections["custom"]
    assert isinstance(section, BrokenSectionError)
    assert problem in str(section)


async def test_one_wrong_device_leaves_the_others(tree: HardwareTree) -> None:
    """Each stands alone."""
    tree.char("/dev/fuse")
    good = {"name": "fuse", "groups": [{"paths": [{"path": "/dev/fuse"}]}]}
    section = load(tree.folder, yaml.safe_dump([{"name": "x"}, good])).sections["custom"]
    assert isinstance(section, BrokenSectionError)
    inventory = await discover(tree, section.remains)  # type: ignore[arg-type]
    assert [device.resource for device in inventory.devices.values()] == ["squat.ai/fuse"]
