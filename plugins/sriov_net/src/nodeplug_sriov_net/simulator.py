"""Simulated adapters, as trees that the true backend reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from nodeplug_sriov_net.trees import Tree

_INTEL_PF: Final = "8086:1592:020000"
_INTEL_VF: Final = "8086:1889:020000"


class IntelSimulator:
    """Two adapters on a NUMA node each, with eight virtual functions each.

    Those of the first are bound to their kernel driver, those of the second to vfio-pci.
    """

    def __init__(self, folder: Path) -> None:
        self.tree = Tree(folder)
        intel_adapter(self.tree, 0, functions=8)
        intel_adapter(self.tree, 1, functions=8, driver="vfio-pci")
        self._place = f"{adapter_place(1)}/0000:7b:02.1"

    @property
    def resource(self) -> str:
        """The functions for user space, which come with device nodes."""
        return "intel.com/sriov_dpdk"

    @property
    def settings(self) -> Mapping[str, Any]:
        """One pool for each driver."""
        return {
            "reconcileSeconds": 0,
            "pools": [
                intel_pool("sriov_netdevice", drivers=["iavf"]),
                intel_pool("sriov_dpdk", drivers=["vfio-pci"]),
            ],
        }

    def lose(self) -> str:
        """Unbind the driver of a virtual function."""
        self.tree.driver(self._place, "")
        self.tree.tell("unbind", self._place)
        return "0000:7b:02.1"

    def recover(self) -> None:
        """Bind it again."""
        self.tree.driver(self._place, "vfio-pci")
        self.tree.tell("bind", self._place)


def intel_pool(name: str, **selector: object) -> dict[str, Any]:
    """Return a pool of virtual functions made by Intel."""
    selectors = [{"vendors": ["8086"], "devices": ["1889"], **selector}]
    return {"name": f"intel.com/{name}", "selectors": selectors}


def adapter_place(number: int) -> str:
    """Return the bridge that an adapter is plugged into."""
    bus = 0x3A + 0x40 * number
    return f"/devices/pci0000:{bus:02x}/0000:{bus:02x}:00.0"


def intel_adapter(tree: Tree, number: int, *, functions: int, driver: str = "iavf") -> str:
    """Make an adapter whose virtual functions are bound to a driver; return its place."""
    above, bus = adapter_place(number), 0x3B + 0x40 * number
    owner = tree.function(
        above,
        f"0000:{bus:02x}:00.0",
        _INTEL_PF,
        numa=number,
        sriov_totalvfs=128,
        sriov_numvfs=functions,
    )
    tree.driver(owner, "ice")
    tree.netdev(owner, f"ens{number + 1}", speed=100_000, operstate="up")
    for index in range(functions):
        address = f"0000:{bus:02x}:{2 + index // 8:02x}.{index % 8}"
        place = tree.function(above, address, _INTEL_VF, numa=number)
        tree.virtual(owner, index, place)
        tree.driver(place, driver)
        tree.iommu_group(place, 100 * number + index)
        if driver == "iavf":
            tree.netdev(place, f"ens{number + 1}v{index}")
    return owner
