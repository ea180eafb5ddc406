"""What containers get, byte for byte, for every way to tell a container runtime of GPUs.

The texts are what NVIDIA's plugin answers, but for its random annotation key and the order of
indices, which changes from call to call.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc.aio
import msgspec
import pytest
from google.protobuf.json_format import MessageToDict

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug_nvidia_gpu.findings import findings
from nodeplug_nvidia_gpu.settings import NvidiaGpuSettings
from support.nvml_host import GPU, NvmlHost, slice_uuid, uuid
from support.nvml_stage import Play, served

ONE, THREE = uuid(1), uuid(3)
VOLUMES = "/var/run/nvidia-container-devices"
OWN = "k8s.device-plugin.nvidia.com"
KEY = "cdi.k8s.io/nvidia-device-plugin_"
CONTROL = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools")
MIG = "nvidia.com/mig-3g.20gb"

Golden = dict[str, Any]


def env(**envs: str) -> Golden:
    return {"envs": envs}


def visible(*names: str, **envs: str) -> Golden:
    return env(NVIDIA_VISIBLE_DEVICES=",".join(names), **envs)


def volumes(*names: str) -> Golden:
    mounts = [{"containerPath": f"{VOLUMES}/{name}", "hostPath": "/dev/null"} for name in names]
    return visible(VOLUMES) | {"mounts": mounts}


def nodes(*names: str, root: str = "") -> Golden:
    specs = [
        {"containerPath": f"/dev/{n}", "hostPath": f"{root}/dev/{n}", "permissions": "rw"}
        for n in (*CONTROL, *names)
    ]
    return {"devices": specs}


def annotated(*names: str) -> Golden:
    return {"annotations": {f"{KEY}cbcbbfae": ",".join(names)}}


def cri(*names: str) -> Golden:
    return {"cdiDevices": [{"name": name} for name in names]}


def own(*names: str) -> list[str]:
    return [f"{OWN}/gpu={name}" for name in names]


async def answer(play: Play, ids: Sequence[str], resource: str = GPU) -> Golden:
    """Return the answer to a request as it goes over the wire."""
    async with grpc.aio.insecure_channel(f"unix:{play.socket(resource)}") as channel:
        request = api.ContainerAllocateRequest(devices_ids=ids)
        response = await api_grpc.DevicePluginStub(channel).Allocate(
            api.AllocateRequest(container_requests=[request])
        )
    found = MessageToDict(response)["containerResponses"][0]
    return dict(found)


BY_ENV, BY_VOLUME = ["envvar"], ["volume-mounts"]
BY_ANNOTATION, BY_CRI = ["cdi-annotations"], ["cdi-cri"]
ALL = [*BY_ENV, *BY_VOLUME, *BY_ANNOTATION, *BY_CRI]
INDEX = {"deviceIdStrategy": "index"}
SPECS = {"passDeviceSpecs": True}


@pytest.mark.parametrize(
    ("strategies", "keys", "golden"),
    [
        (BY_ENV, {}, visible(ONE, THREE)),
        (BY_ENV, INDEX, visible("1", "3")),
        (BY_ENV, SPECS, visible(ONE, THREE) | nodes("nvidia1", "nvidia3")),
        (
            BY_ENV,
            SPECS | {"devRoot": "/run/driver"},
            visible(ONE, THREE) | nodes("nvidia1", "nvidia3", root="/run/driver"),
        ),
        (BY_VOLUME, {}, volumes(ONE, THREE)),
        (BY_VOLUME, INDEX, volumes("1", "3")),
        (BY_VOLUME, SPECS, volumes(ONE, THREE) | nodes("nvidia1", "nvidia3")),
        (BY_ENV + BY_VOLUME, {}, volumes(ONE, THREE)),
        (BY_ANNOTATION, {}, annotated(*own(ONE, THREE))),
        (BY_ANNOTATION, INDEX, annotated(*own("1", "3"))),
        (BY_ANNOTATION, SPECS, annotated(*own(ONE, THREE))),
        (BY_CRI, {}, cri(*own(ONE, THREE))),
        (BY_CRI, INDEX, cri(*own("1", "3"))),
        (BY_CRI, SPECS, cri(*own(ONE, THREE))),
        (BY_ENV + BY_CRI, {}, visible(ONE, THREE) | cri(*own(ONE, THREE))),
        (
            ALL,
            SPECS,
            volumes(ONE, THREE)
            | nodes("nvidia1", "nvidia3")
            | annotated(*own(ONE, THREE))
            | cri(*own(ONE, THREE)),
        ),
    ],
)
async def test_a_container_gets_its_gpus(
    eight: NvmlHost, strategies: list[str], keys: dict[str, Any], golden: Golden
) -> None:
    """Two of eight, asked for in the other order."""
    control(eight.folder / "run/driver/dev")
    async with served(eight, deviceListStrategy=strategies, **keys) as play:
        await play.sick(of=8)
        assert await answer(play, [THREE, ONE]) == golden


def control(dev: Path) -> None:
    dev.mkdir(parents=True)
    for name in (*CONTROL, *(f"nvidia{n}" for n in range(8))):
        (dev / name).touch()


@pytest.mark.parametrize(
    ("strategies", "keys", "golden"),
    [
        (BY_ENV, {}, visible(slice_uuid(0, 1))),
        (BY_ENV, INDEX, visible("0:1")),
        (
            BY_ENV,
            SPECS,
            visible(slice_uuid(0, 1))
            | nodes("nvidia0", "nvidia-caps/nvidia-cap21", "nvidia-caps/nvidia-cap22"),
        ),
        (BY_VOLUME, INDEX, volumes("0:1")),
        (BY_CRI, {}, cri(*own(slice_uuid(0, 1)))),
        (BY_CRI, INDEX, cri(*own("0:1"))),
    ],
)
async def test_a_container_gets_its_slice(
    eight: NvmlHost, strategies: list[str], keys: dict[str, Any], golden: Golden
) -> None:
    """With the capabilities of its instances."""
    eight.cut(0, "3g.20gb", "3g.20gb")
    both = {"deviceListStrategy": strategies, "migStrategy": "mixed", **keys}
    async with served(eight, **both) as play:
        await play.sick(of=2, resource=MIG)
        assert await answer(play, [slice_uuid(0, 1)], MIG) == golden


async def test_two_replicas_of_a_gpu_are_that_gpu_once(eight: NvmlHost) -> None:
    """No node is repeated."""
    rule = {"resource": GPU, "replicas": 2}
    async with served(eight, rule, passDeviceSpecs=True) as play:
        await play.sick(of=16)
        found = await answer(play, [f"{ONE}::1", f"{ONE}::0"])
    assert found == visible(ONE) | nodes("nvidia1")


@pytest.mark.parametrize(
    ("strategies", "golden"),
    [
        (
            BY_ENV,
            visible(
                ONE,
                NVIDIA_IMEX_CHANNELS="0",
                NVIDIA_GDRCOPY="enabled",
                NVIDIA_GDS="enabled",
                NVIDIA_MOFED="enabled",
            )
            | nodes("nvidia1", "nvidia-caps-imex-channels/channel0"),
        ),
        (
            BY_CRI,
            env(NVIDIA_GDRCOPY="enabled", NVIDIA_GDS="enabled", NVIDIA_MOFED="enabled")
            | cri(f"{OWN}/gpu={ONE}", f"{OWN}/imex-channel=0", f"{OWN}/gdrcopy=all"),
        ),
    ],
)
async def test_a_container_gets_what_comes_with_gpus(
    eight: NvmlHost, strategies: list[str], golden: Golden
) -> None:
    """IMEX channels, GDRCopy, GDS, MOFED; as CDI names, what of it is on the host."""
    place = eight.folder / "dev/nvidia-caps-imex-channels"
    place.mkdir()
    (place / "channel0").touch()
    (eight.folder / "dev/gdrdrv").touch()
    switches = dict.fromkeys(("gdrcopy", "gds", "mofed", "passDeviceSpecs"), True)
    keys = {"deviceListStrategy": strategies, "imex": {"channelIds": [0]}, **switches}
    async with served(eight, **keys) as play:
        await play.sick(of=8)
        assert await answer(play, [ONE]) == golden


async def test_an_imex_channel_is_a_mount_among_volumes(eight: NvmlHost) -> None:
    """In a folder of its own."""
    place = eight.folder / "dev/nvidia-caps-imex-channels"
    place.mkdir()
    (place / "channel0").touch()
    keys = {"deviceListStrategy": BY_VOLUME, "imex": {"channelIds": [0]}}
    async with served(eight, **keys) as play:
        await play.sick(of=8)
        assert await answer(play, [ONE]) == volumes(ONE, "imex/0")


async def test_missing_imex_channels_make_sick_where_they_are_required(eight: NvmlHost) -> None:
    """Else they are left out."""
    async with served(eight, imex={"channelIds": [0], "required": True}) as play:
        await play.sick(*map(uuid, range(8)), of=8)


NAMED = 'cdiVersion: "0.5.0"\nkind: nvidia.com/gpu\ndevices:\n- name: "1"\n- name: {}\n'


@pytest.mark.parametrize(("keys", "name"), [({}, ONE), (INDEX, "1")], ids=str)
async def test_devices_that_a_specification_knows_have_its_names(
    eight: NvmlHost, keys: dict[str, Any], name: str
) -> None:
    """The container toolkit's knows more of the driver than ours; the others have ours."""
    (eight.folder / "etc/cdi").mkdir(parents=True)
    (eight.folder / "etc/cdi/nvidia.yaml").write_text(NAMED.format(ONE))
    other = "3" if keys else THREE
    async with served(eight, deviceListStrategy=BY_CRI, **keys) as play:
        await play.sick(of=8)
        found = await answer(play, [ONE, THREE])
    assert found == cri(f"nvidia.com/gpu={name}", f"{OWN}/gpu={other}")
    assert f"{OWN}/gpu={other}" in specified(eight)
    assert f"{OWN}/gpu={name}" not in specified(eight)


def specified(host: NvmlHost) -> dict[str, Golden]:
    """Return the entries of our own specifications, by name; those of a file by its kind."""
    found: dict[str, Golden] = {}
    for file in (host.folder / "var/run/cdi").glob("*.json"):
        spec = json.loads(file.read_text())
        found[spec["kind"]] = spec.get("containerEdits", {})
        for device in spec["devices"]:
            found[f"{spec['kind']}={device['name']}"] = device["containerEdits"]
    return found


async def test_a_program_of_the_driver_may_be_an_absolute_link(eight: NvmlHost) -> None:
    """As where a distribution has alternatives; here the host's root is not the agent's."""
    for folder in ("usr/bin", "opt/driver"):
        (eight.folder / folder).mkdir(parents=True)
    (eight.folder / "opt/driver/nvidia-smi").touch()
    (eight.folder / "usr/bin/nvidia-smi").symlink_to("/opt/driver/nvidia-smi")
    async with served(eight, deviceListStrategy=BY_CRI) as play:
        await play.sick(of=8)
        mounts = specified(eight)[f"{OWN}/gpu"]["mounts"]
    assert "/usr/bin/nvidia-smi" in {m["containerPath"] for m in mounts}


async def test_our_own_specification_holds_all_that_a_gpu_needs(eight: NvmlHost) -> None:
    """Nodes, and the driver's files under the names that programs ask for."""
    (eight.folder / "usr/bin").mkdir()
    (eight.folder / "usr/bin/nvidia-smi").touch()
    (eight.folder / "usr/bin/nvidia-cdi-hook").touch()
    (eight.place / "libcuda.so.550.54.15").touch()
    (eight.place / "libcuda.so.1").symlink_to("libcuda.so.550.54.15")
    (eight.place / "libother.so.3").touch()
    async with served(eight, deviceListStrategy=BY_CRI) as play:
        await play.sick(of=8)
        specs = specified(eight)
    assert specs[f"{OWN}/gpu={ONE}"] == {"deviceNodes": [node("nvidia1")]}
    common = specs[f"{OWN}/gpu"]
    assert common["env"] == ["NVIDIA_VISIBLE_DEVICES=void", "NVIDIA_CTK_LIBCUDA_DIR=/usr/lib64"]
    assert common["deviceNodes"] == [node(name) for name in CONTROL]
    assert [(m["hostPath"], m["containerPath"]) for m in common["mounts"]] == [
        ("/usr/lib64/libcuda.so.550.54.15", "/usr/lib64/libcuda.so.1"),
        ("/usr/lib64/libcuda.so.550.54.15", "/usr/lib64/libcuda.so.550.54.15"),
        ("/usr/lib64/libnvidia-ml.so.550.54.15", "/usr/lib64/libnvidia-ml.so.1"),
        ("/usr/lib64/libnvidia-ml.so.550.54.15", "/usr/lib64/libnvidia-ml.so.550.54.15"),
        ("/usr/bin/nvidia-smi", "/usr/bin/nvidia-smi"),
    ]
    assert common["hooks"] == [
        {
            "hookName": "createContainer",
            "path": "/usr/bin/nvidia-cdi-hook",
            "args": ["nvidia-cdi-hook", *args],
        }
        for args in (
            ["create-symlinks", "--link", "libcuda.so.1::/usr/lib64/libcuda.so"],
            ["update-ldcache", "--folder", "/usr/lib64"],
        )
    ]


@pytest.mark.parametrize(
    "path", ["/usr/local/bin/nvidia-ctk", "/usr/local/nvidia/toolkit/nvidia-ctk"]
)
async def test_the_toolkit_is_found_where_it_is(eight: NvmlHost, path: str) -> None:
    """Its other program has the hooks below a sub-command."""
    assert "CDI hook" in doctor_subjects(eight)
    program = eight.folder / path[1:]
    program.parent.mkdir(parents=True)
    program.touch()
    assert "CDI hook" not in doctor_subjects(eight)
    async with served(eight, deviceListStrategy=BY_CRI) as play:
        await play.sick(of=8)
        [hook] = specified(eight)[f"{OWN}/gpu"]["hooks"]
    assert (hook["path"], hook["args"][:3]) == (path, ["nvidia-ctk", "hook", "update-ldcache"])


def doctor_subjects(host: NvmlHost) -> set[str]:
    wanted = msgspec.convert({"deviceListStrategy": BY_CRI}, NvidiaGpuSettings)
    return {each.subject for each in findings(wanted, host.host.root)}


def node(name: str) -> Golden:
    return {"path": f"/dev/{name}", "permissions": "rw"}


async def test_nodes_are_seen_where_the_agent_has_the_drivers_root(eight: NvmlHost) -> None:
    """And told by where the host has it."""
    inside = eight.folder / "inside"
    (eight.folder / "dev").rename(eight.folder / "moved")
    inside.mkdir()
    (eight.folder / "moved").rename(inside / "dev")
    (eight.folder / "usr").rename(inside / "usr")
    roots = {"driverRoot": "/run/driver", "containerDriverRoot": str(inside)}
    async with served(eight, passDeviceSpecs=True, **roots) as play:
        await play.sick(of=8)
        expected = visible(ONE) | nodes("nvidia1", root="/run/driver")
        assert await answer(play, [ONE]) == expected
