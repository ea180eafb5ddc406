"""Simulated adapters of several makes, each behind a bridge of its own."""

from typing import Final

from nodeplug_sriov_net.trees import Tree

_INTEL: Final = ("8086:1592:020000", "8086:1889:020000")
_MELLANOX: Final = ("15b3:101d:020000", "15b3:101e:020000")
_DPU: Final = "15b3:a2d6:020000"
_SWITCH: Final = "b8cef6fffe000001"


def place_of(number: int) -> str:
    """Return the bridge that an adapter is plugged into."""
    return f"/devices/pci0000:{_bus(number):02x}/0000:{_bus(number):02x}:00.0"


def address_of(number: int, index: int | None = None) -> str:
    """Return the address of an adapter, or of one of its virtual functions."""
    slot = "00.0" if index is None else f"{2 + index // 8:02x}.{index % 8}"
    return f"0000:{_bus(number) + 1:02x}:{slot}"


def function_place(number: int, index: int | None = None) -> str:
    """Return where sysfs has an adapter or one of its virtual functions."""
    return f"{place_of(number)}/{address_of(number, index)}"


def intel_adapter(tree: Tree, number: int, *, functions: int, driver: str = "iavf") -> None:
    """Make an adapter `ens<number+1>` on NUMA node `number`, its functions bound to a driver."""
    owner = _owner(tree, number, _INTEL[0], "ice", functions)
    tree.netdev(owner, f"ens{number + 1}", speed=100_000)
    for index in range(functions):
        place = _virtual(tree, number, index, _INTEL[1], driver)
        if driver == "iavf":
            tree.netdev(place, f"ens{number + 1}v{index}")


def mellanox_adapter(tree: Tree, number: int, *, functions: int) -> None:
    """Make an adapter in switchdev mode, whose functions are capable of RDMA."""
    owner = _owner(tree, number, _MELLANOX[0], "mlx5_core", functions)
    tree.rdma(owner, f"mlx5_{number}_0", 100 * number)
    for index in range(functions):
        name = f"eth{number}vf{index}"  # named so that it comes before its uplink
        tree.netdev(owner, name, phys_switch_id=_SWITCH, phys_port_name=f"pf0vf{index}")
        place = _virtual(tree, number, index, _MELLANOX[1], "mlx5_core")
        tree.netdev(place, f"ens{number + 1}f0v{index}")
        tree.rdma(place, f"mlx5_{number}_{index + 1}", 100 * number + index + 1)
    tree.netdev(
        owner, f"ens{number + 1}f0np0", speed=200_000, phys_switch_id=_SWITCH, phys_port_name="p0"
    )


def dpu(tree: Tree, number: int, *, subs: int) -> None:
    """Make a data processing unit with sub-functions 10, 11 and so on."""
    owner = tree.function(place_of(number), address_of(number), _DPU, numa=number % 2)
    tree.driver(owner, "mlx5_core")
    tree.netdev(owner, "p0", speed=200_000, phys_switch_id=_SWITCH, phys_port_name="p0")
    for index in range(subs):
        port = f"pf0sf{10 + index}"
        tree.netdev(owner, f"en3f0{port}", phys_switch_id=_SWITCH, phys_port_name=port)
        place = tree.sub_function(owner, f"mlx5_core.sf.{2 + index}", 10 + index)
        tree.netdev(place, f"enp{number}s0f0s{10 + index}")
        tree.rdma(place, f"mlx5_sf{index}", 100 * number + index)


def _owner(tree: Tree, number: int, ids: str, driver: str, functions: int) -> str:
    owner = tree.function(place_of(number), address_of(number), ids, numa=number % 2)
    tree.put(owner, sriov_totalvfs=128, sriov_numvfs=functions)
    tree.driver(owner, driver)
    return owner


def _virtual(tree: Tree, number: int, index: int, ids: str, driver: str) -> str:
    place = tree.function(place_of(number), address_of(number, index), ids, numa=number % 2)
    tree.virtual(function_place(number), index, place)
    tree.driver(place, driver)
    tree.iommu_group(place, 200 * number + index)
    return place


def _bus(number: int) -> int:
    return 0x3A + 0x20 * number
