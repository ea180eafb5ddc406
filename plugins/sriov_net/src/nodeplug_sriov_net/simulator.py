"""A simulated node with adapters, as a tree that the true backend reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from nodeplug_sriov_net.adapters import (
    address_of,
    dpu,
    function_place,
    intel_adapter,
    mellanox_adapter,
)
from nodeplug_sriov_net.trees import Tree

_LOST: Final = (1, 1)  # adapter and function


class SriovNetSimulator:
    """Two adapters of Intel with eight virtual functions each, one of Mellanox with four, a DPU.

    The functions of Intel's first are bound to their kernel driver, those of the second to
    vfio-pci. Mellanox's are capable of RDMA and in switchdev mode; the DPU has sub-functions.
    """

    def __init__(self, folder: Path) -> None:
        self.tree = Tree(folder)
        intel_adapter(self.tree, 0, functions=8)
        intel_adapter(self.tree, 1, functions=8, driver="vfio-pci")
        mellanox_adapter(self.tree, 2, functions=4)
        dpu(self.tree, 3, subs=4)

    @property
    def resource(self) -> str:
        """The functions for user space, which come with device nodes."""
        return "intel.com/sriov_dpdk"

    @property
    def settings(self) -> Mapping[str, Any]:
        """One pool for each kind."""
        sub_functions = pool("nvidia.com/sub_function", auxTypes=["sf"])
        return {
            "reconcileSeconds": 0,
            "pools": [
                pool("intel.com/sriov_netdevice", vendors=["8086"], drivers=["iavf"]),
                pool(self.resource, vendors=["8086"], drivers=["vfio-pci"]),
                pool("nvidia.com/sriov_rdma", devices=["101e"], isRdma=True),
                {**sub_functions, "deviceType": "auxNetDevice"},
            ],
        }

    def lose(self) -> str:
        """Unbind the driver of a virtual function."""
        self.tree.driver(function_place(*_LOST), "")
        self.tree.tell("unbind", function_place(*_LOST))
        return address_of(*_LOST)

    def recover(self) -> None:
        """Bind it again."""
        self.tree.driver(function_place(*_LOST), "vfio-pci")
        self.tree.tell("bind", function_place(*_LOST))


class LargeSimulator(SriovNetSimulator):
    """Four adapters with 128 virtual functions each, a pool for each adapter."""

    def __init__(self, folder: Path) -> None:
        self.tree = Tree(folder)
        for number in range(4):
            intel_adapter(self.tree, number, functions=128, driver="vfio-pci")

    @property
    def resource(self) -> str:
        """The functions of the second adapter."""
        return "intel.com/sriov_ens2"

    @property
    def settings(self) -> Mapping[str, Any]:
        """All functions, by adapter."""
        names = [f"ens{number + 1}" for number in range(4)]
        pools = [pool(f"intel.com/sriov_{name}", pfNames=[name]) for name in names]
        return {"reconcileSeconds": 0, "pools": pools}


def pool(name: str, **selector: object) -> dict[str, Any]:
    """Return the configuration of a pool with one selector."""
    return {"name": name, "selectors": [selector]}
