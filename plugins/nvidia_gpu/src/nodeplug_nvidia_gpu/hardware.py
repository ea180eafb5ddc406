"""What of the hardware a GPU or a slice is."""

from collections.abc import Iterable, Iterator

from nodeplug.values.hardware import EXCLUSIVE, PART, HardwareKey, Uses
from nodeplug_nvidia_gpu.facts import NO_INSTANCE, Gpu, Slice
from nodeplug_nvidia_gpu.units import Unit


def hardware_of(unit: Unit, nodes: Iterable[str]) -> Uses:
    """Return the GPU, alone or as a part; NVIDIA's nodes have no device in sysfs to tell it.

    `nodes` are the paths of the host that its container opens, handed out as such or not. Slices
    share that of the GPU, and those of one GPU instance its capability.
    """
    use = PART if unit.part else EXCLUSIVE
    keys = [*_gpu(unit.gpu), *(f"path {node}" for node in nodes)]
    own = _slice(unit.gpu, unit.part) if unit.part else ()
    return {**dict.fromkeys(keys, use), **dict.fromkeys(own, EXCLUSIVE)}


def _gpu(gpu: Gpu) -> Iterator[HardwareKey]:
    yield f"gpu {gpu.uuid}"
    if gpu.address:
        yield f"pci {gpu.address}"


def _slice(gpu: Gpu, part: Slice) -> Iterator[HardwareKey]:
    yield f"mig {part.uuid}"
    # A slice made anew at the place of one that was destroyed has its capabilities: who still
    # holds the old one can open it.
    if NO_INSTANCE not in {part.instance, part.compute_instance}:
        yield f"mig {gpu.uuid}/{part.instance}/{part.compute_instance}"
