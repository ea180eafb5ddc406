"""Descriptions of nodes as they are bought."""

from itertools import combinations
from typing import Final

from nodeplug_nvidia_gpu.facts import Gpu, Slice, Versions
from nodeplug_nvidia_gpu.simulated import Description

_GIB: Final = 1 << 30
_VERSIONS: Final = Versions(driver="550.54.15", cuda="12.4")


def a100_node() -> Description:
    """Return eight A100 at NVLink switches, as in a DGX A100."""
    node = _node(8, "NVIDIA A100-SXM4-40GB", 40, "8.0", mig=False)
    node.links = [(a.uuid, b.uuid, 12) for a, b in combinations(node.gpus, 2)]
    return node


def mig_node() -> Description:
    """Return two A100: one in slices of several profiles, one whole."""
    node = _node(2, "NVIDIA A100-SXM4-40GB", 40, "8.0", mig=False)
    first = node.gpus[0]
    profiles = ("3g.20gb", "2g.10gb", "1g.5gb", "1g.5gb")
    slices = tuple(_slice(number, profile) for number, profile in enumerate(profiles))
    node.gpus[0] = Gpu(
        index=first.index,
        uuid=first.uuid,
        name=first.name,
        minor=first.minor,
        address=first.address,
        memory=first.memory,
        capability=first.capability,
        mig=True,
        slices=slices,
    )
    return node


def t4_node() -> Description:
    """Return four T4."""
    return _node(4, "Tesla T4", 15, "7.5", mig=None)


def l40s_node() -> Description:
    """Return eight L40S at two processors, linked by PCI alone."""
    return _node(8, "NVIDIA L40S", 45, "8.9", mig=None)


def _node(count: int, name: str, memory: int, capability: str, *, mig: bool | None) -> Description:
    gpus = [
        Gpu(
            index=index,
            uuid=f"GPU-{index:08x}-5157-4a42-9c1d-6e6f64656c75",
            name=name,
            minor=index,
            address=f"0000:{0x10 + 0x10 * index:02x}:00.0",
            memory=memory * _GIB,
            capability=capability,
            mig=mig,
        )
        for index in range(count)
    ]
    return Description(versions=_VERSIONS, gpus=gpus)


def _slice(number: int, profile: str) -> Slice:
    slices, size = int(profile[0]), int(profile[3:-2])
    return Slice(
        uuid=f"MIG-{number:08x}-5157-5a42-9c1d-6e6f64656c75",
        index=number,
        profile=profile,
        instance=number + 1,
        compute_instance=0,
        memory=size * _GIB,
        multiprocessors=14 * slices,
        gpu_slices=slices,
        compute_slices=slices,
        engines={"copy": slices, "decoder": slices // 2, "encoder": 0, "jpeg": 0, "ofa": 0},
    )
