"""What workloads, CNI plugins and Multus see, byte for byte, for every driver and device type.

The texts are what the SR-IOV network device plugin gives for the same device, but for what it
leaves out by mistake: its own first answer for UIO and vDPA, the physical function and the
representor in device-info files, and a name that shells accept.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from nodeplug.values.device import Device
from nodeplug.values.errors import AllocationRefusedError
from nodeplug_sriov_net.adapters import dpu, function_place, mellanox_adapter
from nodeplug_sriov_net.backend import SriovNetBackend
from nodeplug_sriov_net.trees import Tree
from support.sriov_host import POOL, FakeHost, discover, nodes, settings

VF = "0000:3b:02.0"
RW = "rw"
PF = '"pf-pci-address":"0000:3b:00.0"'


@dataclass
class Golden:
    """A device, how it is asked for, and what comes of it."""

    make: Callable[[FakeHost], object]
    info: str
    file: str
    nodes: list[tuple[str, str, str]] = field(default_factory=list)
    selector: dict[str, Any] = field(default_factory=dict)
    pool: dict[str, Any] = field(default_factory=dict)
    id: str = VF


def same(*paths: str) -> list[tuple[str, str, str]]:
    return [(path, path, RW) for path in paths]


def pci(extra: str = "", end: str = PF) -> str:
    return f'{{"type":"pci","version":"1.1.0","pci":{{"pci-address":"{VF}",{extra}{end}}}}}'


def noiommu(fake: FakeHost) -> None:
    place = fake.one_function("vfio-pci")
    fake.tree.iommu_group(place, 7, noiommu=True)


def without_group(fake: FakeHost) -> None:
    place = fake.one_function("vfio-pci")
    fake.tree.path(f"/sys{place}/iommu_group").unlink()


def iommufd(fake: FakeHost) -> None:
    fake.tree.vfio_node(fake.one_function("vfio-pci"), "vfio3")


def uio(driver: str) -> Callable[[FakeHost], object]:
    return lambda fake: fake.tree.put(f"{fake.one_function(driver)}/uio/uio4")


def vdpa(driver: str) -> Callable[[FakeHost], object]:
    return lambda fake: fake.tree.vdpa(fake.one_function("mlx5_core"), "vdpa5", driver, 5)


def vhost_net(fake: FakeHost) -> None:
    fake.one_function("iavf")
    fake.tree.put("/class/misc/vhost-net")


def accelerator(fake: FakeHost) -> None:
    tree = fake.tree
    place = tree.function("/devices/pci0000:50", "0000:50:00.0", "8086:0d5c:120000")
    tree.driver(place, "vfio-pci")
    tree.iommu_group(place, 12)


def group(number: str) -> str:
    return f'"vfio":{{"dev-mount":"/dev/vfio/{number}","mount":"/dev/vfio/vfio"}}'


GENERIC = '"generic":{"deviceID":"%s"}'
OWN = GENERIC % VF

CASES = {
    "kernel driver": Golden(make=lambda fake: fake.one_function("iavf"), info=OWN, file=pci()),
    "vfio": Golden(
        make=lambda fake: fake.one_function("vfio-pci"),
        nodes=same("/dev/vfio/vfio", "/dev/vfio/0"),
        info=f"{OWN},{group('0')}",
        file=pci(),
    ),
    "vfio of a vendor": Golden(
        make=lambda fake: fake.one_function("mlx5_vfio_pci"),
        nodes=same("/dev/vfio/vfio", "/dev/vfio/0"),
        info=f"{OWN},{group('0')}",
        file=pci(),
    ),
    "vfio without an IOMMU": Golden(
        make=noiommu,
        nodes=[*same("/dev/vfio/vfio"), ("/dev/vfio/noiommu-7", "/dev/vfio/7", RW)],
        info=f"{OWN},{group('7')}",
        file=pci(),
    ),
    "vfio without a group": Golden(
        make=without_group,
        nodes=same("/dev/vfio/vfio"),
        info=f'{OWN},"vfio":{{"mount":"/dev/vfio/vfio"}}',
        file=pci(),
    ),
    "iommufd": Golden(
        make=iommufd,
        pool={"vfio": "iommufd"},
        nodes=same("/dev/iommu", "/dev/vfio/devices/vfio3"),
        info=f'{OWN},"vfio":{{"cdev":"/dev/vfio/devices/vfio3","iommufd":"/dev/iommu"}}',
        file=pci(),
    ),
    "group and iommufd": Golden(
        make=iommufd,
        pool={"vfio": "both"},
        nodes=same("/dev/vfio/vfio", "/dev/vfio/0", "/dev/iommu", "/dev/vfio/devices/vfio3"),
        info=f'{OWN},"vfio":{{"cdev":"/dev/vfio/devices/vfio3","dev-mount":"/dev/vfio/0",'
        '"iommufd":"/dev/iommu","mount":"/dev/vfio/vfio"}',
        file=pci(),
    ),
    **{
        driver: Golden(
            make=uio(driver),
            nodes=same("/dev/uio4"),
            info=f'{OWN},"uio":{{"mount":"/dev/uio4"}}',
            file=pci(),
        )
        for driver in ("uio", "igb_uio", "uio_pci_generic")
    },
    "vDPA for vhost": Golden(
        make=vdpa("vhost_vdpa"),
        selector={"vdpaType": "vhost"},
        nodes=same("/dev/vhost-vdpa-5"),
        info=f'{OWN},"vdpa":{{"mount":"/dev/vhost-vdpa-5"}}',
        file='{"type":"vdpa","version":"1.1.0","vdpa":{"parent-device":"vdpa5","driver":"vhost",'
        f'"path":"/dev/vhost-vdpa-5","pci-address":"{VF}",{PF}}}}}',
    ),
    "vDPA for virtio": Golden(
        make=vdpa("virtio_vdpa"),
        selector={"vdpaType": "virtio"},
        info=f'{OWN},"vdpa":{{}}',
        file='{"type":"vdpa","version":"1.1.0","vdpa":{"parent-device":"vdpa5","driver":"virtio",'
        f'"pci-address":"{VF}",{PF}}}}}',
    ),
    "vhost-net": Golden(
        make=vhost_net,
        selector={"needVhostNet": True},
        nodes=same("/dev/vhost-net", "/dev/net/tun"),
        info=f'{OWN},"vhost":{{"net-mount":"/dev/vhost-net","tun-mount":"/dev/net/tun"}}',
        file=pci('"vhost-net":"/dev/vhost-net",'),
    ),
    "RDMA behind a switch": Golden(
        make=lambda fake: mellanox_adapter(fake.tree, 0, functions=1),
        selector={"isRdma": True},
        nodes=same(
            *(f"/dev/infiniband/{name}" for name in ("issm1", "umad1", "uverbs1", "rdma_cm"))
        ),
        info=f'{OWN},"rdma":{{"issm":"/dev/infiniband/issm1","rdma_cm":"/dev/infiniband/rdma_cm",'
        '"rdma_dev":"mlx5_0_1","umad":"/dev/infiniband/umad1","uverbs":"/dev/infiniband/uverbs1"}',
        file=pci('"rdma-device":"mlx5_0_1",', f'{PF},"representor-device":"eth0vf0"'),
    ),
    "sub-function": Golden(
        make=lambda fake: dpu(fake.tree, 0, subs=1),
        pool={"deviceType": "auxNetDevice"},
        selector={"auxTypes": ["sf"], "isRdma": True},
        nodes=same(
            *(f"/dev/infiniband/{name}" for name in ("issm0", "umad0", "uverbs0", "rdma_cm"))
        ),
        info='"generic":{"deviceID":"mlx5_core.sf.2"},"rdma":{"issm":"/dev/infiniband/issm0",'
        '"rdma_cm":"/dev/infiniband/rdma_cm","rdma_dev":"mlx5_sf0","umad":"/dev/infiniband/umad0",'
        '"uverbs":"/dev/infiniband/uverbs0"}',
        file='{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:3b:00.0",'
        f'"rdma-device":"mlx5_sf0",{PF},"representor-device":"en3f0pf0sf10"}}}}',
        id="mlx5_core.sf.2",
    ),
    "accelerator": Golden(
        make=accelerator,
        pool={"deviceType": "accelerator"},
        nodes=same("/dev/vfio/vfio", "/dev/vfio/12"),
        info=f'"generic":{{"deviceID":"0000:50:00.0"}},{group("12")}',
        file="",
        id="0000:50:00.0",
    ),
    "additional information": Golden(
        make=lambda fake: fake.one_function("iavf"),
        pool={"additionalInfo": {"*": {"token": "a<b>&c", "zone": "1"}, VF: {"zone": "2"}}},
        info=f'"extra":{{"token":"a\\u003cb\\u003e\\u0026c","zone":"2"}},{OWN}',
        file=pci(),
    ),
}


@pytest.fixture(params=CASES)
async def case(
    request: pytest.FixtureRequest, fake: FakeHost
) -> tuple[Golden, SriovNetBackend, Device]:
    golden = CASES[request.param]
    golden.make(fake)
    backend = fake.backend(settings({**golden.pool, "selectors": [golden.selector]}))
    return golden, backend, (await discover(backend)).devices[golden.id]


Case = tuple[Golden, SriovNetBackend, Device]


def test_nodes_are_those_of_the_driver(case: Case) -> None:
    """In order, with permissions."""
    golden, _, device = case
    assert nodes(device) == golden.nodes


async def test_variables_are_those_that_workloads_parse(case: Case) -> None:
    """From the first Allocate on."""
    golden, backend, device = case
    added = await backend.allocate(POOL, [device])
    assert added.envs == {
        "PCIDEVICE_EXAMPLE_COM_POOL": golden.id,
        "PCIDEVICE_EXAMPLE_COM_POOL_INFO": f'{{"{golden.id}":{{{golden.info}}}}}',
    }


def test_device_info_is_what_multus_copies(case: Case) -> None:
    """Under the public name, for all but accelerators."""
    golden, backend, device = case
    files = backend.host_files({"public.io/name": [device]})
    path = f"/var/run/k8s.cni.cncf.io/devinfo/dp/public.io-name-{golden.id}-device.json"
    found = [(file.path, file.data.decode(), file.mode, file.resource) for file in files]
    assert found == ([(path, golden.file, 0o444, "public.io/name")] if golden.file else [])


async def test_several_devices_are_joined_in_order(fake: FakeHost) -> None:
    """One variable for all, one object."""
    tree = Tree(fake.folder)
    mellanox_adapter(tree, 0, functions=2)
    backend = fake.backend(settings({"selectors": [{"pfNames": ["ens1f0np0"]}]}))
    devices = [*(await discover(backend)).devices.values()]
    added = await backend.allocate(POOL, devices)
    one, two = (device.id for device in devices)
    info = ",".join(f'"{each}":{{{GENERIC % each}}}' for each in (one, two))
    assert added.envs == {
        "PCIDEVICE_EXAMPLE_COM_POOL": f"{one},{two}",
        "PCIDEVICE_EXAMPLE_COM_POOL_INFO": f"{{{info}}}",
    }


async def test_a_name_with_hyphens_has_an_alias_that_shells_accept(fake: FakeHost) -> None:
    """Beside the name that the other plugin gives."""
    fake.one_function("iavf")
    backend = fake.backend(settings({}))
    (device,) = (await discover(backend)).devices.values()
    added = await backend.allocate("intel.com/vfio-one", [device])
    assert [name for name in added.envs if not name.endswith("_INFO")] == [
        "PCIDEVICE_INTEL_COM_VFIO-ONE",
        "PCIDEVICE_INTEL_COM_VFIO_ONE",
    ]


async def test_an_alias_never_takes_the_variable_of_another_pool(fake: FakeHost) -> None:
    """One container may use both."""
    fake.one_function("iavf")
    pools = settings({"name": "intel.com/a-b"}, {"name": "intel.com/a_b"})
    backend = fake.backend(pools)
    (device,) = (await discover(backend)).devices.values()
    added = await backend.allocate("intel.com/a-b", [device])
    assert [*added.envs] == ["PCIDEVICE_INTEL_COM_A-B", "PCIDEVICE_INTEL_COM_A-B_INFO"]


async def test_a_function_that_is_gone_is_not_handed_out(fake: FakeHost) -> None:
    """The pod fails at once, not in its CNI plugin."""
    fake.one_function("iavf")
    backend = fake.backend(settings({}))
    (device,) = (await discover(backend)).devices.values()
    fake.tree.remove(function_place(0, 0))
    with pytest.raises(AllocationRefusedError, match=r"PCI function 0000:3b:02\.0 is gone"):
        await backend.allocate(POOL, [device])
