"""What operators are told: explanations, findings, measurements, needs."""

import re

import pytest

from nodeplug.backend import Measurement
from nodeplug_sriov_net.adapters import address_of, dpu, function_place, intel_adapter
from nodeplug_sriov_net.explain import explain
from nodeplug_sriov_net.findings import findings
from nodeplug_sriov_net.plugin import SPEC
from support.repository import ROOT
from support.sriov_host import POOL, FakeHost, discover, settings, watching

PF, VF0, VF1 = address_of(0), address_of(0, 0), address_of(0, 1)
OTHER = "example.com/other"


@pytest.fixture
def host(fake: FakeHost) -> FakeHost:
    """Give a host with two virtual functions."""
    intel_adapter(fake.tree, 0, functions=2)
    return fake


async def test_each_device_is_explained_against_each_pool(host: FakeHost) -> None:
    """Chosen, not chosen and why, chosen by another."""
    pools = settings({"selectors": [{"pfNames": ["ens1#0"]}]}, {"name": OTHER})
    told = [(v.device, v.resource, v.chosen, v.reason) for v in await explain(pools, host.host)]
    assert told == [
        (PF, "", False, "is a physical function with virtual functions"),
        (VF0, POOL, True, "selectors[0]: pfNames"),
        (VF0, OTHER, False, f"{POOL} comes first and selects it too"),
        (VF1, POOL, False, "pfNames: ens1#1 is not selected"),
        (VF1, OTHER, True, "selectors[0]: everything"),
    ]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"vendors": ["15b3"]}, "vendors: 8086 is not selected"),
        ({"isRdma": True}, "isRdma: it is not capable of RDMA"),
        ({"vdpaType": "vhost"}, "vdpaType: it has no vDPA device bound to vhost"),
        ({"numaNodes": [7]}, "numaNodes: 0 is not selected"),
        ({"minSpeedMbps": 200_000}, "minSpeedMbps: 100000 is too slow"),
        ({"ddpProfiles": ["a"]}, "ddpProfiles: none is not selected"),
    ],
    ids=str,
)
async def test_an_explanation_names_key_and_value(
    host: FakeHost, selector: dict[str, object], expected: str
) -> None:
    """The first key that does not hold."""
    verdicts = await explain(settings({"selectors": [selector]}), host.host)
    assert {v.reason for v in verdicts if v.device == VF0} == {expected}


async def test_what_is_not_known_is_not_taken_for_nothing(fake: FakeHost) -> None:
    """No zero that somebody could hold against another number."""
    fake.tree.put(fake.one_function("vfio-pci"), numa_node=-1)
    fake.tree.put(f"{function_place(0)}/net/ens1", speed=-1)
    for selector, reason in (
        ({"minSpeedMbps": 1}, "minSpeedMbps: its speed is not known"),
        ({"numaNodes": [0]}, "numaNodes: its NUMA node is not known"),
    ):
        verdicts = await explain(settings({"selectors": [selector]}), fake.host)
        assert {v.reason for v in verdicts if v.device == VF0} == {reason}
    found = (await fake.devices({}))[VF0]
    assert "speedMbps" not in found.attributes


async def test_a_link_that_cannot_be_read_is_not_measured(host: FakeHost) -> None:
    """It is neither up nor down."""
    backend = host.backend(settings({}))
    await discover(backend)
    host.tree.path(f"/sys{function_place(0)}/net/ens1/carrier").unlink()
    assert not await backend.measure()


async def test_without_pools_an_explanation_says_so(host: FakeHost) -> None:
    """A fresh installation shows what there is."""
    assert (VF0, "no pool is configured") in [
        (v.device, v.reason) for v in await explain(settings(), host.host)
    ]


def found(fake: FakeHost, **pool: object) -> list[str]:
    return [f"{f.subject}: {f.finding}" for f in findings(settings(pool), fake.host.root)]


def test_a_sound_node_has_no_findings(host: FakeHost) -> None:
    """Nobody is alarmed without cause."""
    assert not found(host)


def test_a_pool_without_devices_is_found(host: FakeHost) -> None:
    """The typical mistake in a selector."""
    assert found(host, selectors=[{"pfNames": ["eth9"]}]) == [f"{POOL}: no device is in the pool"]


def test_shared_nodes_that_are_missing_are_found(host: FakeHost) -> None:
    """Containers would look for them in vain."""
    told = found(host, selectors=[{"needVhostNet": True}, {"isRdma": True}])
    assert [re.findall(r"/dev/\S+(?<!,)", line) for line in told] == [
        ["/dev/vhost-net"],
        ["/dev/infiniband/rdma_cm"],
    ]


def test_a_function_without_driver_is_found(host: FakeHost) -> None:
    """It is no use to anybody."""
    host.tree.driver(function_place(0, 1), "")
    assert found(host) == [f"{VF1}: no driver is bound to it"]


def test_vfio_without_iommu_is_found(host: FakeHost) -> None:
    """Whether there is no group, or none that protects the host."""
    for index in range(2):
        host.tree.driver(function_place(0, index), "vfio-pci")
    host.tree.iommu_group(function_place(0, 0), 1, noiommu=True)
    host.tree.path(f"/sys{function_place(0, 1)}/iommu_group").unlink()
    assert found(host) == [
        f"{VF0}: no IOMMU stands between the device and the host's memory",
        f"{VF1}: it is bound to VFIO but in no IOMMU group",
    ]


def test_the_wrong_network_namespace_is_found(fake: FakeHost) -> None:
    """There, adapters have drivers but no network devices."""
    place = fake.tree.function("/devices/pci0000:50", "0000:50:00.0", "8086:1592:020000")
    fake.tree.driver(place, "ice")
    assert found(fake) == ["network namespace: none of 1 adapters shows a network device"]


async def test_the_log_tells_of_the_wrong_network_namespace(
    fake: FakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, in time for whoever looks why the pools are empty."""
    place = fake.tree.function("/devices/pci0000:50", "0000:50:00.0", "8086:1592:020000")
    fake.tree.driver(place, "ice")
    async with watching(fake.backend(settings({}))) as inventories:
        fake.tree.put(place, acpi_index=7)  # something that is told
        fake.tree.tell("change", place)
        await anext(inventories)
    assert caplog.messages.count("no network device is visible") == 1


async def test_links_are_measured_at_the_adapter(host: FakeHost) -> None:
    """A function's own network device may be in a container, or down."""
    backend = host.backend(settings({}))
    await discover(backend)
    speed = 100_000 * 1_000_000 / 8
    assert await backend.measure() == [
        measured
        for device in (VF0, VF1)
        for measured in (
            Measurement(device, "link_up", 1.0),
            Measurement(device, "link_speed_bytes_per_second", speed),
        )
    ]


async def test_a_link_without_carrier_has_no_speed(host: FakeHost) -> None:
    """The kernel says -1 then, or what it was."""
    backend = host.backend(settings({"selectors": [{"pfNames": ["ens1#0"]}]}))
    await discover(backend)
    host.tree.put(f"{function_place(0)}/net/ens1", carrier=0, speed=-1)
    assert await backend.measure() == [Measurement(VF0, "link_up", 0.0)]


def test_the_probe_counts_what_there_is(host: FakeHost) -> None:
    """Functions of all kinds."""
    dpu(host.tree, 1, subs=3)
    detail = "2 network functions and accelerators, 2 virtual functions, 3 sub-functions"
    assert SPEC.probe(host.host.root).detail == detail


def test_the_readme_names_every_need() -> None:
    """One row for each feature."""
    page = (ROOT / "plugins/sriov_net/README.md").read_text()
    rows = re.findall(r"^\| ([^|`]+) \| (?:always|`[^|]+`) \|", page, re.MULTILINE)
    assert {each.feature for each in SPEC.privileges} <= {*rows}
