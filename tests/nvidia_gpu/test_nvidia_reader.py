"""The configuration file of NVIDIA's plugin is taken as it is."""

from typing import Any

import msgspec
import pytest
import yaml

from nodeplug.backend import Translation
from nodeplug.config.settings import AgentSettings
from nodeplug.offers import OfferRule
from nodeplug.values.errors import InvalidValueError
from nodeplug_nvidia_gpu.plugin import reader
from nodeplug_nvidia_gpu.settings import NvidiaGpuSettings
from support.nvml_host import GPU, NvmlHost, slice_uuid, uuid
from support.nvml_stage import served

WHOLE = """
version: v1
flags:
  migStrategy: mixed
  failOnInitError: false
  nvidiaDriverRoot: /run/nvidia/driver
  nvidiaDevRoot: /
  gdrcopyEnabled: true
  gdsEnabled: false
  mofedEnabled: null
  deviceDiscoveryStrategy: auto
  mpsRoot: /run/nvidia/mps
  plugin:
    passDeviceSpecs: true
    deviceListStrategy: [envvar, cdi-cri]
    deviceIDStrategy: index
    cdiAnnotationPrefix: cdi.example.com/
    nvidiaCTKPath: /usr/local/bin/nvidia-ctk
    containerDriverRoot: /driver-root
    sharedDevicesAllocationPolicy: packed
  gfd:
    oneshot: false
    machineTypeFile: /sys/class/dmi/id/board_name
imex:
  channelIDs: [0]
  required: true
"""
PLAIN = {"resource": GPU, "policy": "aligned"}


def translated(text: str) -> Translation:
    """Return the translation, which core would take."""
    found = reader(yaml.safe_load(text))
    msgspec.convert(dict(found.section), NvidiaGpuSettings)
    msgspec.convert(list(found.offers), list[OfferRule])
    return found


def sharing(*lines: str, **keys: object) -> Translation:
    entries = [yaml.safe_load(line) for line in lines]
    document = {"version": "v1", "sharing": {"timeSlicing": {"resources": entries, **keys}}}
    return translated(yaml.safe_dump(document))


def test_every_flag_has_its_place() -> None:
    """Or a reason why it has none."""
    found = translated(WHOLE)
    assert found.section == {
        "migStrategy": "mixed",
        "driverRoot": "/run/nvidia/driver",
        "devRoot": "/",
        "gdrcopy": True,
        "gds": False,
        "discovery": "auto",
        "passDeviceSpecs": True,
        "deviceListStrategy": ["envvar", "cdi-cri"],
        "deviceIdStrategy": "index",
        "cdi": {"annotationPrefix": "cdi.example.com/", "hookPath": "/usr/local/bin/nvidia-ctk"},
        "containerDriverRoot": "/driver-root",
        "machineTypeFile": "/sys/class/dmi/id/board_name",
        "imex": {"channelIds": [0], "required": True},
    }
    assert [each.partition(":")[0] for each in found.ignored] == [
        "flags.failOnInitError",
        "flags.mpsRoot",
        "flags.gfd.oneshot",
    ]
    assert found.refused == []


@pytest.mark.parametrize("text", ["{}", "version: v1", "flags:", "sharing: {}", "resources: {}"])
def test_a_file_that_says_nothing_is_the_defaults(text: str) -> None:
    """GPUs that belong together are preferred, as that plugin does."""
    found = translated(text)
    assert (found.section, list(found.offers)) == ({}, [PLAIN])
    assert (found.refused, found.ignored) == ([], [])


@pytest.mark.parametrize("document", [None, "", [], 7, {"version": "v2"}])
def test_what_is_no_such_file_is_refused(document: object) -> None:
    """As a whole."""
    with pytest.raises(InvalidValueError):
        reader(document)


@pytest.mark.parametrize(
    ("text", "begin"),
    [
        ("flags: {migStrategy: both}", "flags.migStrategy: Invalid enum value 'both'"),
        ("flags: {plugin: {deviceIDStrategy: name}}", "flags.plugin.deviceIDStrategy: "),
        ("flags: {plugin: {deviceListStrategy: smoke}}", "flags.plugin.deviceListStrategy: "),
        ("flags: {nvidiaDriverRoot: ../up}", "flags.nvidiaDriverRoot: "),
        ("flags: {gdsEnabled: perhaps}", "flags.gdsEnabled: "),
        (
            "flags: {plugin: {sharedDevicesAllocationPolicy: x}}",
            "flags.plugin.sharedDevicesAllocationPolicy: 'x' is neither",
        ),
        ("imex: {channelIDs: [-1]}", "imex.channelIDs: "),
        (
            "sharing: {timeSlicing: {resources: 5}}",
            "sharing.timeSlicing.resources[0].name: is missing",
        ),
        ("sharing: {mps: {resources: [{name: nvidia.com/gpu}]}}", "sharing.mps: is not served"),
        ("flags: 3", "flags: 3 is no map"),
        ("imex: [0]", "imex: [0] is no map"),
        ("resources: [x]", "resources: ['x'] is no map"),
        ("sharing: 4", "sharing: 4 is no map"),
        ("sharing: {timeSlicing: {}}", "sharing.timeSlicing.resources: is missing"),
        (
            "sharing: {timeSlicing: {renameByDefault: 1, resources: [{name: gpu, replicas: 2}]}}",
            "sharing.timeSlicing.renameByDefault: 1 is no boolean",
        ),
        ("resources: {gpus: [{name: gpu}]}", "resources.gpus[0].pattern: is missing"),
        ("resources: {gpus: [{pattern: T4}]}", "resources.gpus[0].name: is missing"),
        ("resources: {gpus: [3]}", "resources.gpus[0].name: is missing"),
        ("resources: {mig: [{pattern: '*', name: mig}]}", "resources.mig[0].pattern: '*' is no"),
        ("resources: {gpus: [{pattern: T4, name: a/b/c}]}", "resources.gpus[0].name: resource"),
    ],
)
def test_a_wrong_key_is_refused_alone(text: str, begin: str) -> None:
    """With the key as the file has it."""
    found = translated(text)
    assert len(found.refused) == 1
    assert found.refused[0].startswith(begin)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("resources: {gpu: []}", "resources.gpu"),
        ("resources: {gpus: [{pattern: T4, name: t4, x: 1}]}", "resources.gpus[0].x"),
        ("sharing: {timeSlicing: {replicas: 4}}", "sharing.timeSlicing.replicas"),
        (
            "sharing: {timeSlicing: {resources: [{name: gpu, id: 0, replicas: 2}]}}",
            "sharing.timeSlicing.resources[0].id",
        ),
        ("flags: {plugin: {other: {}}}", "flags.plugin.other"),
    ],
)
def test_unknown_keys_are_named_at_every_level(text: str, key: str) -> None:
    """A slip of the pen is deep as often as not."""
    assert translated(text).refused == [f"{key}: is not a known key"]


@pytest.mark.parametrize(
    "sharing",
    [
        "{resources: [{name: nvidia.com/gpu, device: [0], replicas: 2}]}",
        "{failRequestGreaterThanOne: true, resources: [{name: nvidia.com/gpu, replicas: 2}]}",
        "{renameByDefault: 1, resources: [{name: nvidia.com/gpu, replicas: 2}]}",
    ],
)
def test_nothing_is_shared_by_what_is_not_understood(sharing: str) -> None:
    """The key may have been what keeps a device for one container."""
    found = translated(f"sharing: {{timeSlicing: {sharing}}}")
    assert (list(found.offers), len(found.refused)) == ([PLAIN], 1)


def test_unknown_keys_are_refused() -> None:
    """A slip of the pen does not go unnoticed."""
    found = translated("flags: {migStrateggy: mixed}\nsharring: {}\nsharing: {x: 1}\nimex: {y: 1}")
    assert found.refused == [
        "flags.migStrateggy: is not a known key",
        "imex.y: is not a known key",
        "sharing.x: is not a known key",
        "sharring: is not a known key",
    ]


@pytest.mark.parametrize(
    ("line", "keys", "expected"),
    [
        ("{name: nvidia.com/gpu, replicas: 4}", {}, {}),
        ("{name: gpu, replicas: 4}", {}, {}),
        ("{name: gpu, replicas: 4, devices: all}", {}, {}),
        ("{name: gpu, replicas: 4}", {"renameByDefault": True}, {"markShared": True}),
        (
            "{name: gpu, replicas: 4}",
            {"failRequestsGreaterThanOne": True},
            {"failRequestsGreaterThanOne": True},
        ),
        (
            "{name: gpu, replicas: 4, rename: part}",
            {"renameByDefault": True},
            {"rename": "nvidia.com/part"},
        ),
        ("{name: gpu, replicas: 4, devices: 2}", {}, {"devices": {"index": "<2"}}),
        ("{name: gpu, replicas: 4, devices: [0, 2]}", {}, {"devices": {"nvmlIndex": ["0", "2"]}}),
        (
            f"{{name: gpu, replicas: 4, devices: [{uuid(1)}]}}",
            {},
            {"devices": {"uuid": [uuid(1)]}},
        ),
    ],
)
def test_sharing_becomes_an_offer(line: str, keys: dict[str, Any], expected: object) -> None:
    """Also what that plugin reads and does not do: devices and rename."""
    assert isinstance(expected, dict)
    shared = {"resource": GPU, "replicas": 4, "policy": "spread", **expected}
    found = sharing(line, **keys)
    [first, rest] = found.offers
    assert (first, rest["resource"], found.refused) == (shared, GPU, [])


@pytest.mark.parametrize(
    "text",
    [
        "sharing: {timeSlicing: {resources: [{name: gpu, replicas: 4, devices: [0]}]}}",
        """
        resources: {gpus: [{pattern: "*A100*", name: a100}, {pattern: "*", name: gpu}]}
        sharing:
          timeSlicing: {failRequestsGreaterThanOne: true, resources: [{name: a100, replicas: 2}]}
        """,
    ],
)
def test_what_is_left_of_a_shared_resource_has_its_policy(text: str) -> None:
    """Two policies of one name would be refused, and the whole file with them."""
    offers = msgspec.convert({"offers": list(translated(text).offers)}, AgentSettings).offers
    assert offers[0].policy == offers[1].policy == "spread"


@pytest.mark.parametrize(
    ("line", "end"),
    [
        ("{name: gpu, replicas: 1}", "replicas: 1 must be 2 or more"),
        ("{name: gpu, replicas: many}", "replicas: 'many' must be 2 or more"),
        ("{name: gpu}", "replicas: None must be 2 or more"),
        ("{name: gpu, replicas: 100001}", "replicas: 100001 must be at most 100000"),
        ("{replicas: 2}", "name: is missing"),
        ("{name: gpu, replicas: 2, devices: 0}", "devices: a count, 0, must be of GPUs and 1 or"),
        ("{name: mig-1g.5gb, replicas: 2, devices: 1}", "devices: a count, 1, must be of GPUs"),
        ("{name: gpu, replicas: 2, devices: []}", "devices: [] is neither all, a count nor a"),
        ("{name: gpu, replicas: 2, devices: [x]}", "devices: 'x' is neither an index nor an id"),
        ("{name: gpu, replicas: 2, devices: true}", "devices: True is neither all, a count"),
    ],
)
def test_wrong_sharing_is_refused_alone(line: str, end: str) -> None:
    """The others are shared."""
    found = sharing(line, "{name: mig-2g.10gb, replicas: 3}")
    assert found.refused[0].startswith(f"sharing.timeSlicing.resources[0].{end}")
    assert [offer["resource"] for offer in found.offers] == ["nvidia.com/mig-2g.10gb", GPU]


def test_what_is_shared_already_is_not_shared_otherwise() -> None:
    """One of the two numbers would be passed over."""
    found = sharing("{name: gpu, replicas: 3}", "{name: nvidia.com/gpu, replicas: 4}")
    assert found.refused == [
        "sharing.timeSlicing.resources[1].name: all of nvidia.com/gpu is shared already"
    ]
    parts = [f"{{name: gpu, replicas: {n}, devices: [{n}]}}" for n in (2, 3)]
    assert sharing(*parts).refused == []


def test_a_renamed_resource_can_be_shared() -> None:
    """By the name that it was given."""
    text = """
    resources: {gpus: [{pattern: "*A100*", name: a100}, {pattern: "*", name: gpu}]}
    sharing: {timeSlicing: {resources: [{name: a100, replicas: 2}]}}
    """
    a100 = {"resource": GPU, "devices": {"model": "*A100*"}, "rename": "nvidia.com/a100"}
    assert list(translated(text).offers) == [
        {**a100, "replicas": 2, "policy": "spread"},
        {**a100, "policy": "spread"},
        PLAIN,
    ]


@pytest.mark.parametrize(
    ("second", "devices"),
    [("*H100*", {"devices": {"model": ["*A100*", "*H100*"]}}), ("*", {})],
)
def test_two_models_may_have_one_name(second: str, devices: dict[str, Any]) -> None:
    """As in that plugin."""
    text = (
        f'resources: {{gpus: [{{pattern: "*A100*", name: b}}, {{pattern: "{second}", name: b}}]}}'
    )
    [first, *_] = translated(text).offers
    assert first == {"resource": GPU, **devices, "rename": "nvidia.com/b", "policy": "aligned"}


@pytest.mark.parametrize(
    ("pattern", "model"),
    [
        ("A100", "*A100*"),
        ("A100-*-40GB", "*A100-*-40GB*"),
        ("!T4", "*!T4*"),
        (">=4", "*>=4*"),
        ("A?[0]", "*A[?][[]0]*"),
    ],
)
def test_a_pattern_is_a_part_of_a_name(pattern: str, model: str) -> None:
    """Nothing but `*` is special in it, as in that plugin."""
    text = f'resources: {{gpus: [{{pattern: "{pattern}", name: b}}]}}'
    [renamed, _] = msgspec.convert({"offers": list(translated(text).offers)}, AgentSettings).offers
    assert renamed.devices == {"model": model}


def test_a_pattern_that_is_too_long_costs_its_entry_alone() -> None:
    """The others are served."""
    gpus = f"[{{pattern: {'a' * 300}, name: a}}, {{pattern: T4, name: t4}}]"
    found = translated(f"resources: {{gpus: {gpus}}}")
    assert found.refused == [
        "resources.gpus[0].pattern: 'aaaaaaaaaaaaaaaaaaaa'... is longer than any name of a GPU"
    ]
    assert [each.get("rename") for each in found.offers] == ["nvidia.com/t4", None]


def test_what_takes_effect_here_alone_is_told() -> None:
    """That plugin reads these keys and passes over them."""
    found = translated(
        """
        resources: {gpus: [{pattern: "*", name: a}]}
        sharing: {timeSlicing: {resources: [{name: a, devices: all, rename: b, replicas: 2}]}}
        """
    )
    passed_over = "takes effect here; that plugin passes over it"
    assert found.notes == [
        f"resources.gpus[0]: {passed_over}",
        f"sharing.timeSlicing.resources[0].rename: {passed_over}",
    ]


def test_a_name_is_not_for_gpus_and_slices() -> None:
    """What a pod gets would be either."""
    text = 'resources: {gpus: [{pattern: "*", name: b}], mig: [{pattern: 1g.5gb, name: b}]}'
    assert translated(text).refused == [
        "resources.mig[0].name: nvidia.com/b is that of nvidia.com/gpu, too"
    ]


async def test_names_and_sharing_reach_the_kubelet(eight: NvmlHost) -> None:
    """A node with two models, of which some are shared by the place in which they stand."""
    eight.cut(0, "3g.20gb", "3g.20gb")
    for number in range(1, 4):
        eight.add(number, "Tesla T4", 15)
    found = translated(
        """
        flags: {migStrategy: mixed}
        resources: {gpus: [{pattern: "Tesla*", name: t4}], mig: [{pattern: 3g.20gb, name: half}]}
        sharing:
          timeSlicing:
            resources:
            - {name: half, replicas: 2, devices: ["0:1"], rename: quarter}
            - {name: gpu, replicas: 3, devices: [4, 7]}
        """
    )
    async with served(eight, *found.offers, **found.section) as play:
        await play.sick(of=3, resource="nvidia.com/t4")
        await play.sick(of=1, resource="nvidia.com/half")
        await play.sick(of=2, resource="nvidia.com/quarter")
        await play.sick(of=8)
        assert {*play.kubelet.devices("nvidia.com/half")} == {slice_uuid(0, 0)}
        expected = {f"{uuid(n)}::{r}" for n in (4, 7) for r in range(3)} | {uuid(5), uuid(6)}
        assert {*play.kubelet.devices(GPU)} == expected
