"""What four plugins show in their documentation: each file, and what it gives on a node.

The examples are those of generic-device-plugin (manifests/), smarter-device-manager (README),
NVIDIA's k8s-device-plugin (README) and the SR-IOV network device plugin (deployments/), with their
defaults left out and other numbers.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from nodeplug.backend import BackendSpec
from nodeplug.config.load import Source, load_configuration
from nodeplug.host.host import open_host
from nodeplug.loader import load
from nodeplug.supervisor.agent import Agent, ConfiguredBackend, Node, Rules
from nodeplug.testing import Pod
from nodeplug_nvidia_gpu.simulator import NvidiaGpuSimulator
from nodeplug_sriov_net.trees import Tree
from support.backends_stage import Play, Running, backends_stage

GENERIC = """
domain: squat.ai
devices:
  - name: serial
    groups:
      - paths: [{path: /dev/ttyUSB*}]
      - paths: [{path: /dev/ttyACM*}]
      - paths: [{path: /dev/rfcomm*}]
  - name: video
    groups:
      - paths: [{path: /dev/video0}]
  - name: fuse
    groups:
      - count: 10
        paths: [{path: /dev/fuse}]
  - name: audio
    groups:
      - count: 10
        paths: [{path: /dev/snd}]
  - name: capture
    groups:
      - paths: [{path: /dev/snd/controlC0}, {path: /dev/snd/pcmC0D0c}]
      - paths:
          - {path: /dev/snd/controlC1, mountPath: /dev/snd/controlC0}
          - {path: /dev/snd/pcmC1D0c, mountPath: /dev/snd/pcmC0D0c}
"""
SMARTER = """
apiVersion: v1
kind: ConfigMap
metadata: {name: smarter-device-manager}
data:
  conf.yaml: |
    - devicematch: ^snd$
      nummaxdevices: 20
    - devicematch: ^rtc0$
      nummaxdevices: 20
    - devicematch: ^video[0-9]*$
      nummaxdevices: 20
    - devicematch: ^ttyACM[0-9]*$
      nummaxdevices: 1
"""
SLICED = """
version: v1
flags:
  migStrategy: none
sharing:
  timeSlicing:
    %s
    resources:
      - name: nvidia.com/gpu
        replicas: 10
"""
SRIOV = """
apiVersion: v1
kind: ConfigMap
metadata: {name: sriovdp-config, namespace: kube-system}
data:
  config.json: |
    {"resourceList": [
      {"resourceName": "intel_sriov_netdevice",
       "selectors": {"vendors": ["8086"], "devices": ["154c", "10ed"],
                     "drivers": ["i40evf", "ixgbevf"]}},
      {"resourceName": "intel_sriov_dpdk", "resourcePrefix": "intel.com",
       "selectors": {"vendors": ["8086"], "devices": ["154c", "10ed"],
                     "drivers": ["vfio-pci"], "pfNames": ["enp0s0f0", "enp2s2f1"]}},
      {"resourceName": "mlnx_sriov_rdma", "resourcePrefix": "mellanox.com",
       "selectors": [{"vendors": ["15b3"], "devices": ["1018"], "drivers": ["mlx5_core"],
                      "isRdma": true}]}
    ]}
"""


SOUND = [f"/dev/snd/{kind}" for kind in ("controlC0", "controlC1", "pcmC0D0c", "pcmC1D0c")]
FIRST_GPU = {"NVIDIA_VISIBLE_DEVICES": "GPU-00000000-5157-4a42-9c1d-6e6f64656c75"}


class Given(NamedTuple):
    """What is there of a resource, and what a container gets that asks for so many.

    `nodes` are paths in the container by paths on the host, with permissions.
    """

    total: int
    asked: int = 1
    nodes: Mapping[str, tuple[str, str]] = {}
    envs: Mapping[str, str] = {}


class Example(NamedTuple):
    """A file for a backend, the node it is for, and what is to be had of it there."""

    backend: str
    text: str
    node: Callable[[Play], object]
    gives: Mapping[str, Given]


def as_it_is(*paths: str, rights: str = "rw") -> dict[str, tuple[str, str]]:
    return {path: (path, rights) for path in paths}


def any_devices(play: Play) -> None:
    names = ["ttyUSB0", "ttyUSB1", "ttyACM0", "video0", "fuse", "rtc0"]
    names += [f"snd/{kind}" for kind in ("controlC0", "pcmC0D0c", "controlC1", "pcmC1D0c")]
    for minor, name in enumerate(names):
        play.node(f"/dev/{name}", minor)


def adapters(play: Play) -> None:
    tree = Tree(play.root)
    for number, (ids, virtual, driver, name) in enumerate(
        (
            ("8086:1572:020000", "8086:154c:020000", "i40evf", "enp1s0f0"),
            ("8086:1572:020000", "8086:154c:020000", "vfio-pci", "enp0s0f0"),
            ("15b3:1017:020000", "15b3:1018:020000", "mlx5_core", "enp4s0f0"),
        ),
        start=1,
    ):
        bridge = f"/devices/pci0000:{number:02x}/0000:{number:02x}:00.0"
        owner = tree.function(bridge, f"0000:1{number}:00.0", ids)
        tree.driver(owner, "some")
        tree.netdev(owner, name)
        for index in range(2):
            place = tree.function(bridge, f"0000:1{number}:02.{index}", virtual)
            tree.virtual(owner, index, place)
            tree.driver(place, driver)
            tree.iommu_group(place, 10 * number + index)
            if driver == "vfio-pci":
                play.node(f"/dev/vfio/{10 * number + index}", index)
                play.node("/dev/vfio/vfio", 9)
            else:
                tree.netdev(place, f"{name}v{index}")
            if driver == "mlx5_core":
                tree.rdma(place, f"mlx5_{index}", index)
                for kind in ("uverbs", "umad", "issm"):
                    play.node(f"/dev/infiniband/{kind}{index}", 20 + index)
    play.node("/dev/infiniband/rdma_cm", 30)


def gpus(play: Play) -> object:
    return NvidiaGpuSimulator(play.root)


EXAMPLES = {
    "generic-device-plugin": Example(
        "custom",
        GENERIC,
        any_devices,
        {
            "squat.ai/serial": Given(
                3, 3, as_it_is("/dev/ttyUSB0", "/dev/ttyUSB1", "/dev/ttyACM0", rights="rwm")
            ),
            "squat.ai/video": Given(1, 1, as_it_is("/dev/video0", rights="rwm")),
            "squat.ai/fuse": Given(10, 1, as_it_is("/dev/fuse", rights="rwm")),
            "squat.ai/audio": Given(10, 1, as_it_is(*SOUND, rights="rwm")),
            "squat.ai/capture": Given(
                2, 1, as_it_is("/dev/snd/controlC0", "/dev/snd/pcmC0D0c", rights="rwm")
            ),
        },
    ),
    "smarter-device-manager": Example(
        "custom",
        SMARTER,
        any_devices,
        {
            "smarter-devices/snd": Given(20, 1, as_it_is(*SOUND)),
            "smarter-devices/rtc0": Given(20, 1, as_it_is("/dev/rtc0")),
            "smarter-devices/video0": Given(20, 1, as_it_is("/dev/video0")),
            "smarter-devices/ttyACM0": Given(1, 1, as_it_is("/dev/ttyACM0")),
        },
    ),
    "gpus": Example(
        "nvidia_gpu",
        "version: v1\nflags: {migStrategy: none}",
        gpus,
        {"nvidia.com/gpu": Given(8, 1, envs=FIRST_GPU)},
    ),
    "sliced gpus": Example(
        "nvidia_gpu", SLICED % "", gpus, {"nvidia.com/gpu": Given(80, 1, envs=FIRST_GPU)}
    ),
    "renamed gpus": Example(
        "nvidia_gpu",
        SLICED % "renameByDefault: true",
        gpus,
        {"nvidia.com/gpu.shared": Given(80, 1, envs=FIRST_GPU)},
    ),
    "network functions": Example(
        "sriov_net",
        SRIOV,
        adapters,
        {
            "intel.com/intel_sriov_netdevice": Given(
                2, 1, envs={"PCIDEVICE_INTEL_COM_INTEL_SRIOV_NETDEVICE": "0000:11:02.0"}
            ),
            "intel.com/intel_sriov_dpdk": Given(
                2,
                1,
                as_it_is("/dev/vfio/vfio", "/dev/vfio/20"),
                {"PCIDEVICE_INTEL_COM_INTEL_SRIOV_DPDK": "0000:12:02.0"},
            ),
            "mellanox.com/mlnx_sriov_rdma": Given(
                2,
                1,
                as_it_is(
                    *(
                        f"/dev/infiniband/{name}"
                        for name in ("issm0", "umad0", "uverbs0", "rdma_cm")
                    )
                ),
                {"PCIDEVICE_MELLANOX_COM_MLNX_SRIOV_RDMA": "0000:13:02.0"},
            ),
        },
    ),
}


async def started(play: Play, example: Example, file: Path) -> None:
    spec = load(example.backend)
    assert isinstance(spec, BackendSpec)
    example.node(play)
    file.write_text(example.text)
    found = load_configuration([Source(file, example.backend)], {example.backend: spec})
    assert found.errors == []
    section = found.valid[example.backend]
    if example.backend == "nvidia_gpu":
        section = type(section)(
            **{
                **{f: getattr(section, f) for f in section.__struct_fields__},
                "simulation": "/etc/simulated-gpus.json",
            }
        )
    host = open_host(str(play.root), str(play.root / "uevents.sock"))
    node = Node(
        play.directory,
        play.pod_resources,
        Rules(found.agent.offers),
        play.directory.with_name("cdi"),
        ledger_dir=play.ledger,
    )
    play.agents.append(Running(Agent([ConfiguredBackend(spec, section)], host, node)))


@pytest.mark.parametrize("name", EXAMPLES)
async def test_an_example_gives_what_its_plugin_says(tmp_path: Path, name: str) -> None:
    """Resources, how many there are, and what a container gets of them."""
    example = EXAMPLES[name]
    async with backends_stage() as play:
        await started(play, example, tmp_path / "file.yaml")
        for resource, wanted in example.gives.items():
            await play.listed(resource, wanted.total)
            pod = Pod.of({resource: wanted.asked})
            [run] = (await play.kubelet.admit(pod)).values()
            nodes = {d.host_path: (d.container_path, d.permissions) for d in run.devices.values()}
            assert (resource, nodes) == (resource, wanted.nodes)
            assert run.envs.items() >= wanted.envs.items()
            await play.kubelet.remove(pod)
