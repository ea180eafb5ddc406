"""What operators are told: explanations, findings, presence; hosts without NVML."""

import os
import stat
from pathlib import Path

import pytest

from nodeplug.backend import Finding
from nodeplug.host.root import HostRoot
from nodeplug_nvidia_gpu.plugin import SPEC, checks, explain, probe
from support.nvml_host import GPU, NvmlHost, reasons, settings, slice_uuid, until, uuid, watching
from support.nvml_state import LOST, NOT_LOADED

MODEL = "NVIDIA A100-SXM4-40GB"


async def told(host: NvmlHost, strategy: str = "mixed") -> list[tuple[str, str, bool, str]]:
    verdicts = await explain(settings(migStrategy=strategy), host.host)
    return [(each.device, each.resource, each.chosen, each.reason) for each in verdicts]


@pytest.fixture
def odd(eight: NvmlHost) -> NvmlHost:
    """Give a host with a slice, an empty GPU, one that fails, and two of no interest."""
    for number in range(5, 8):
        eight.state.gpus[number].present = 0
    eight.cut(0, "3g.20gb")
    eight.cut(1)
    eight.state.gpus[2].error = LOST
    eight.state.gpus[3].recovery_action = 1
    return eight


async def test_each_gpu_is_explained(odd: NvmlHost) -> None:
    """What it is served as, or why it is not."""
    assert await told(odd) == [
        ("GPU 2", "", False, "GPU is lost"),
        (
            slice_uuid(0, 0),
            "nvidia.com/mig-3g.20gb",
            True,
            f"slice 0 of GPU 0, {MODEL}, profile 3g.20gb",
        ),
        (uuid(3), GPU, True, f"GPU 3, {MODEL}; the driver asks for a reset of the GPU"),
        (uuid(4), GPU, True, f"GPU 4, {MODEL}"),
        (uuid(1), "", False, "MIG is on and there are no slices"),
    ]


async def test_a_strategy_that_leaves_slices_out_is_named(eight: NvmlHost) -> None:
    """The usual surprise."""
    eight.cut(0, "3g.20gb")
    whole = f"GPU 0, {MODEL}; as a whole, because migStrategy is none"
    assert (await told(eight, "none"))[0] == (uuid(0), GPU, True, whole)


async def test_an_odd_profile_is_explained(eight: NvmlHost) -> None:
    """It is listed, and never handed out."""
    eight.cut(0, "1g.5gb", "1g.5gb", "3g.20gb")
    by_device = {each[0]: each[1:] for each in await told(eight, "single")}
    reason = "its profile 3g.20gb is not 1g.5gb, that of the node's other slices"
    assert by_device[slice_uuid(0, 2)] == (GPU, False, reason)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (NOT_LOADED, "Driver Not Loaded"),
        (18, "RM has detected an NVML/RM version mismatch."),
        (999, "Unknown Error"),
        (4242, "Some Error"),
    ],
)
async def test_a_driver_that_does_not_work_is_explained(
    eight: NvmlHost, code: int, reason: str
) -> None:
    """In the driver's own words."""
    eight.state.init_error = code
    assert await told(eight) == [("driver", "", False, reason)]


async def test_no_driver_is_explained(bare: NvmlHost) -> None:
    """With the name of what is missing."""
    assert await told(bare) == [("driver", "", False, "libnvidia-ml.so.1 is not installed")]


def found(host: NvmlHost, **keys: object) -> list[tuple[str, str]]:
    return [(each.subject, each.finding) for each in findings(host, **keys)]


def findings(host: NvmlHost, **keys: object) -> list[Finding]:
    return list(checks(settings(**keys), host.host.root))


@pytest.mark.parametrize(
    ("function", "finding"),
    [
        ("nvmlDeviceGetTemperature", "it does not answer"),
        ("nvmlDeviceGetNvLinkState", "does not answer: calls of the driver hang"),
    ],
)
def test_a_gpu_that_hangs_is_found(eight: NvmlHost, function: str, finding: str) -> None:
    """Although it may be served."""
    eight.fault(function, 3, hang=True)
    assert ("GPU 3", finding) in found(eight)


def card(host: NvmlHost, number: int, driver: str = "nvidia") -> None:
    slot = host.plug(number)
    (slot / "class").write_text("0x030200\n")
    (slot / "driver").symlink_to(f"../drivers/{driver}")


def test_a_sound_node_has_no_findings(eight: NvmlHost) -> None:
    """Neither has one without GPUs."""
    for number in range(8):
        card(eight, number)
    assert findings(eight) == []


def test_a_node_without_gpus_has_no_findings(bare: NvmlHost) -> None:
    """The agent runs everywhere."""
    assert findings(bare) == []


def test_gpus_without_a_driver_are_found(bare: NvmlHost) -> None:
    """And those that another driver has taken."""
    card(bare, 0)
    card(bare, 1, driver="nouveau")
    assert found(bare) == [
        ("0000:11:00.0", "driven by nouveau"),
        ("driver", "2 GPUs, and no driver that works: libnvidia-ml.so.1 is not installed"),
    ]


def test_gpus_that_the_driver_does_not_list_are_found(eight: NvmlHost) -> None:
    """By their addresses."""
    for number in range(9):
        card(eight, number)
    finding = "the driver lists fewer GPUs than the PCI bus has: not 0000:18:00.0"
    assert found(eight) == [("driver", finding)]


def test_sick_and_odd_gpus_are_found(odd: NvmlHost) -> None:
    """Each with what to do."""
    assert found(odd, migStrategy="mixed") == [
        ("GPU 2", "GPU is lost"),
        (uuid(3), "the driver asks for a reset of the GPU"),
        (uuid(1), "MIG is on and there are no slices"),
    ]
    assert all(each.remedy for each in findings(odd, migStrategy="mixed"))


def test_missing_device_nodes_are_found(eight: NvmlHost) -> None:
    """Containers would get none."""
    (eight.folder / "dev/nvidia3").unlink()
    (eight.folder / "dev/nvidia-uvm").unlink()
    missing = [("/dev/nvidia-uvm", "is not there"), ("/dev/nvidia3", "is not there")]
    assert found(eight) == missing


def test_another_plugin_of_the_same_resources_is_found(eight: NvmlHost) -> None:
    """The kubelet would mix both."""
    place = eight.folder / "var/lib/kubelet/device-plugins"
    place.mkdir(parents=True)
    os.mknod(place / "nvidia-gpu.sock", stat.S_IFSOCK)
    assert [each.severity for each in findings(eight)] == ["warning"]


def test_the_probe_finds_the_library_without_loading_it(eight: NvmlHost) -> None:
    """`nodeplug backends` asks all backends."""
    presence = probe(eight.host.root)
    assert presence.present
    assert str(eight.place) in presence.detail
    assert eight.state.calls == 0


@pytest.mark.parametrize("place", ["usr/lib/x86_64-linux-gnu", "lib64", "usr/local/nvidia/lib64"])
def test_the_library_is_found_where_distributions_have_it(tmp_path: Path, place: str) -> None:
    """Also behind an absolute link, which is one of the host."""
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / "opt").mkdir()
    (tmp_path / "opt/lib.so").touch()
    (tmp_path / place / "libnvidia-ml.so.1").symlink_to("/opt/lib.so")
    assert probe(HostRoot(tmp_path)).detail == f"driver library {tmp_path}/opt/lib.so"


async def test_the_driver_may_have_a_root_of_its_own(eight: NvmlHost) -> None:
    """As a driver in a container has."""
    (eight.folder / "run/nvidia").mkdir(parents=True)
    (eight.folder / "run/nvidia/driver").mkdir()
    (eight.folder / "usr").rename(eight.folder / "run/nvidia/driver/usr")
    assert not (await eight.inventory()).devices
    assert len((await eight.inventory(driverRoot="/run/nvidia/driver")).devices) == 8
    place = str(eight.folder / "run/nvidia/driver")
    assert len((await eight.inventory(containerDriverRoot=place)).devices) == 8


async def test_the_drivers_root_may_be_behind_a_link_of_the_host(eight: NvmlHost) -> None:
    """It leads where the host has it."""
    (eight.folder / "opt/driver").mkdir(parents=True)
    (eight.folder / "usr").rename(eight.folder / "opt/driver/usr")
    (eight.folder / "driver").symlink_to("/opt/driver")
    assert len((await eight.inventory(driverRoot="/driver")).devices) == 8


async def test_wsl_has_one_device_for_all(eight: NvmlHost) -> None:
    """Windows shares all GPUs at once; it comes and goes with its node."""
    (eight.folder / "dev/dxg").touch()
    backend = eight.backend(passDeviceSpecs=True)
    async with watching(backend) as inventories:
        device = (await anext(inventories)).devices["all"]
        edits = await backend.allocate(device.resource, [device])
        assert dict(edits.envs) == {"NVIDIA_VISIBLE_DEVICES": "all"}
        assert [node.host_path for node in device.edits.nodes] == ["/dev/dxg"]
        (eight.folder / "dev/dxg").unlink()
        gone = await until(inventories, lambda inventory: bool(reasons(inventory)))
    assert reasons(gone) == {"all": "/dev/dxg is not there"}


@pytest.mark.parametrize("forced", [False, True])
async def test_a_tegra_has_one_device(bare: NvmlHost, *, forced: bool) -> None:
    """Found by its family, or because the operator says so."""
    if not forced:
        (bare.folder / "sys/devices/soc0").mkdir(parents=True)
        (bare.folder / "sys/devices/soc0/family").write_text("Tegra\n")
    inventory = await bare.inventory(discovery="tegra" if forced else "auto")
    assert [(each.id, each.edits.nodes) for each in inventory.devices.values()] == [("tegra", ())]


async def test_a_tegra_with_nvml_is_asked(eight: NvmlHost) -> None:
    """Newer ones have it."""
    (eight.folder / "etc").mkdir()
    (eight.folder / "etc/nv_tegra_release").touch()
    assert len((await eight.inventory()).devices) == 8


def test_every_privilege_is_asked_for_by_a_setting_and_has_a_reason() -> None:
    """By default the container runtime brings all that is needed."""
    assert SPEC.privileges
    assert all(each.setting and each.reason for each in SPEC.privileges)
