"""The backend under the agent: other names, CDI, policies, device-info files."""

import json

from nodeplug.offers import OfferRule
from nodeplug.testing import Pod
from nodeplug_sriov_net.adapters import address_of, intel_adapter
from support.sriov_host import POOL, FakeHost, settings
from support.sriov_stage import Play, served

KERNEL = {"name": "intel.com/kernel", "selectors": [{"drivers": ["iavf"]}]}
USER = {"name": "intel.com/user", "selectors": [{"drivers": ["vfio-pci"]}]}


def two_adapters(fake: FakeHost) -> None:
    intel_adapter(fake.tree, 0, functions=2)
    intel_adapter(fake.tree, 1, functions=2, driver="vfio-pci")


def device_info(play: Play) -> dict[str, dict[str, str]]:
    folder = play.fake.folder / "var/run/k8s.cni.cncf.io/devinfo/dp"
    return {file.name: json.loads(file.read_text())["pci"] for file in folder.iterdir()}


async def test_a_renamed_resource_speaks_of_itself_by_its_public_name(fake: FakeHost) -> None:
    """In variables and in files: it is what pods and Multus ask for."""
    intel_adapter(fake.tree, 0, functions=1)
    rule = OfferRule(resource=POOL, rename="acme.com/fast-net")
    async with served(fake, settings({}), rule) as play:
        await play.healthy(address_of(0, 0), resource="acme.com/fast-net")
        run = await play.admit("acme.com/fast-net", 1)
        assert run.envs["PCIDEVICE_ACME_COM_FAST-NET"] == address_of(0, 0)
        assert [*device_info(play)] == [f"acme.com-fast-net-{address_of(0, 0)}-device.json"]


async def test_device_info_is_there_before_a_device_is_handed_out(fake: FakeHost) -> None:
    """Every device's, after a reboot too; the end of the agent takes none away."""
    two_adapters(fake)
    async with served(fake, settings(KERNEL, USER)) as play:
        await play.healthy(address_of(0, 0), address_of(0, 1), resource="intel.com/kernel")
        await play.healthy(address_of(1, 0), address_of(1, 1), resource="intel.com/user")
        assert device_info(play) == {
            f"intel.com-{name}-{address_of(number, index)}-device.json": {
                "pci-address": address_of(number, index),
                "pf-pci-address": address_of(number),
            }
            for number, name in enumerate(("kernel", "user"))
            for index in range(2)
        }
    assert len(device_info(play)) == 4


async def test_two_pools_in_one_container_go_through_cdi(fake: FakeHost) -> None:
    """Functions on kernel drivers bring variables only, the others names that are specified."""
    two_adapters(fake)
    rules = [OfferRule(resource=str(pool["name"]), inject="cdi") for pool in (KERNEL, USER)]
    async with served(fake, settings(KERNEL, USER), *rules) as play:
        await play.healthy(address_of(1, 0), address_of(1, 1), resource="intel.com/user")
        await play.healthy(address_of(0, 0), address_of(0, 1), resource="intel.com/kernel")
        wanted = Pod.of({"intel.com/kernel": 2, "intel.com/user": 2})
        run = (await play.kubelet.admit(wanted))["c0"]
        assert (len(run.cdi_devices), {*run.cdi_devices}) == (2, play.specified())
        assert {name for name in run.envs if not name.endswith("_INFO")} == {
            "PCIDEVICE_INTEL_COM_KERNEL",
            "PCIDEVICE_INTEL_COM_USER",
        }


async def test_packed_means_on_one_adapter(fake: FakeHost) -> None:
    """Behind other bridges, on other NUMA nodes, are other adapters."""
    for number in range(3):
        intel_adapter(fake.tree, number, functions=3)
    async with served(fake, settings({}), OfferRule(resource=POOL, policy="packed")) as play:
        await play.healthy(*(address_of(n, i) for n in range(3) for i in range(3)))
        run = await play.admit(POOL, 3)
        used = {address[5:7] for address in run.envs["PCIDEVICE_EXAMPLE_COM_POOL"].split(",")}
        assert len(used) == 1


async def test_a_pool_without_devices_is_advertised_with_none(fake: FakeHost) -> None:
    """Its name is known to the scheduler."""
    async with served(fake, settings({})) as play:
        await play.healthy()
        capacity = play.kubelet.capacity(POOL)
        assert capacity is not None
        assert capacity.allocatable == 0
