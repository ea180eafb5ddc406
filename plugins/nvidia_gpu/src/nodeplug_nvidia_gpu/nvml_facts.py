"""All that NVML says of a GPU and its slices."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Final

from nodeplug_nvidia_gpu.driver import NONSENSE, DriverError
from nodeplug_nvidia_gpu.facts import NO_INSTANCE, Gpu, Slice
from nodeplug_nvidia_gpu.naming import printable, profile_in, profile_of
from nodeplug_nvidia_gpu.nvml import (
    FUNCTION_NOT_FOUND,
    INVALID_ARGUMENT,
    NOT_FOUND,
    NOT_SUPPORTED,
    Nvml,
)

_MIB: Final = 1 << 20
# NVML: NVML_GPU_FABRIC_STATE_COMPLETED.
_ATTACHED: Final = 3
# NVML: NVML_GPU_VIRTUALIZATION_MODE_VGPU.
_VGPU: Final = 2
# NVIDIA, MIG User Guide: a GPU has seven slices at most. Far more are nonsense.
_SLICES_LIMIT: Final = 64
# NVML, nvmlDeviceGetMigDeviceHandleByIndex: there is none at this index, or it goes just now.
_NO_SLICE: Final = frozenset({INVALID_ARGUMENT, NOT_FOUND, NONSENSE})
_ENGINES: Final = ("Copy", "Decoder", "Encoder", "Jpeg", "Ofa")
_FABRIC: Final = (
    ("nvmlDeviceGetGpuFabricInfoV", "c_nvmlGpuFabricInfo_v2_t"),
    ("nvmlDeviceGetGpuFabricInfo", "c_nvmlGpuFabricInfo_t"),
)


def read_gpu(nvml: Nvml, index: int) -> Gpu:
    """Return the facts of a GPU; raise DriverError where it does not answer."""
    handle = nvml.ask("nvmlDeviceGetHandleByIndex", index)
    facts = _Facts(nvml, handle)
    sliced = mig_mode(nvml, handle)
    minor = facts.ask("minor", "nvmlDeviceGetMinorNumber")
    memory = facts.ask("memory", "nvmlDeviceGetMemoryInfo")
    capability = facts.ask("capability", "nvmlDeviceGetCudaComputeCapability")
    address = facts.ask("address", "nvmlDeviceGetPciInfo")
    virtualized = facts.ask("vgpu", "nvmlDeviceGetVirtualizationMode")
    total = int(memory.total) if memory else 0
    slices = read_slices(facts, handle, total) if sliced else ()
    return Gpu(
        index=index,
        uuid=str(nvml.ask("nvmlDeviceGetUUID", handle)),
        name=printable(str(facts.ask("name", "nvmlDeviceGetName") or "")),
        minor=minor,
        address=pci_address(address) if address else "",
        memory=total,
        capability=f"{capability[0]}.{capability[1]}" if capability else "",
        clique=_clique(nvml, handle),
        mig=sliced,
        vgpu=None if "vgpu" in facts.failed else virtualized == _VGPU,
        slices=slices,
        failed=tuple(facts.failed),
    )


def mig_mode(nvml: Nvml, gpu: Any) -> bool | None:
    """Return whether a GPU is given as slices; None where it never is.

    Raise DriverError where that cannot be told: a GPU must not be taken for a whole one.
    """
    try:
        return bool(nvml.ask("nvmlDeviceGetMigMode", gpu)[0])
    except DriverError as error:
        if error.code in {NOT_SUPPORTED, FUNCTION_NOT_FOUND}:
            return None
        raise


class _Facts:
    """Asks for what a GPU can be served without; `failed` says which fields could not be told."""

    def __init__(self, nvml: Nvml, gpu: Any) -> None:
        self.nvml = nvml
        self.failed: list[str] = []
        self._gpu = gpu

    def ask(self, field: str, function: str, handle: Any = None) -> Any:
        """Ask the GPU, or the slice with a handle."""
        try:
            return self.nvml.try_(None, function, self._gpu if handle is None else handle)
        except DriverError as error:
            if error.of_gone:
                raise
            self.failed.append(field)
            return None


def slice_handles(nvml: Nvml, gpu: Any) -> dict[str, tuple[int, Any]]:
    """Return MIG index and handle of each slice, by UUID; a slice that goes meanwhile is left out.

    Indices have gaps where slices have been destroyed. Raise DriverError where one cannot be told.
    """
    found = {}
    for index in range(min(nvml.ask("nvmlDeviceGetMaxMigDeviceCount", gpu), _SLICES_LIMIT)):
        with _no_slice():
            handle = nvml.ask("nvmlDeviceGetMigDeviceHandleByIndex", gpu, index)
            found[str(nvml.ask("nvmlDeviceGetUUID", handle))] = index, handle
    return found


@contextmanager
def _no_slice() -> Iterator[None]:
    try:
        yield
    except DriverError as error:
        if error.code not in _NO_SLICE:
            raise


def read_slices(facts: _Facts, gpu: Any, whole: int) -> tuple[Slice, ...]:
    """Return the slices of a GPU that has so many bytes of memory."""
    handles = slice_handles(facts.nvml, gpu)
    return tuple(_slice(facts, uuid, *found, whole) for uuid, found in handles.items())


def _slice(facts: _Facts, uuid: str, index: int, handle: Any, whole: int) -> Slice:
    def ask(function: str) -> Any:
        return facts.ask("slices", function, handle)

    found = ask("nvmlDeviceGetAttributes")
    size = None if found else ask("nvmlDeviceGetMemoryInfo")
    memory = int(found.memorySizeMB) * _MIB if found else int(size.total) if size else 0
    gpu_slices = found.gpuInstanceSliceCount if found else 0
    compute_slices = found.computeInstanceSliceCount if found else 0
    # NVML, nvmlDeviceGetName: the name of a MIG device identifies it by its attributes.
    profile = profile_in(str(ask("nvmlDeviceGetName") or ""))
    instances = (ask("nvmlDeviceGetGpuInstanceId"), ask("nvmlDeviceGetComputeInstanceId"))
    return Slice(
        uuid=uuid,
        index=index,
        profile=profile or profile_of(gpu_slices, compute_slices, memory, whole),
        instance=NO_INSTANCE if instances[0] is None else instances[0],
        compute_instance=NO_INSTANCE if instances[1] is None else instances[1],
        memory=memory,
        multiprocessors=found.multiprocessorCount if found else 0,
        gpu_slices=gpu_slices,
        compute_slices=compute_slices,
        engines={
            name.lower(): getattr(found, f"shared{name}{'Engine' if name == 'Copy' else ''}Count")
            for name in (_ENGINES if found else ())
        },
    )


def pci_address(info: Any) -> str:
    """Return the address in NVML's description of a PCI device, as sysfs writes it.

    NVML counts no functions; GPUs are the first.
    """
    return f"{info.domain:04x}:{info.bus:02x}:{info.device:02x}.0"


def _clique(nvml: Nvml, handle: Any) -> str:
    for function, structure in _FABRIC:
        try:
            info = nvml.new(structure)
            nvml.ask(function, handle, nvml.reference(info))
        except DriverError:
            continue
        digits = bytes(info.clusterUuid).hex()
        if info.state & 0xFF != _ATTACHED or info.status or not digits.strip("0"):
            return ""
        cuts = (0, 8, 12, 16, 20, 32)
        parts = [digits[a:b] for a, b in pairwise(cuts)]
        return f"{'-'.join(parts)}.{info.cliqueId}"
    return ""
