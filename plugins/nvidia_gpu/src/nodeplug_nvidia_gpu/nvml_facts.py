"""All that NVML says of a GPU and its slices."""

from itertools import pairwise
from typing import Any, Final

from nodeplug_nvidia_gpu.driver import GPU_IS_LOST, DriverError
from nodeplug_nvidia_gpu.facts import NO_INSTANCE, Gpu, Slice
from nodeplug_nvidia_gpu.naming import printable, profile_in, profile_of
from nodeplug_nvidia_gpu.nvml import Nvml

_MIB: Final = 1 << 20
# NVML: NVML_GPU_FABRIC_STATE_COMPLETED.
_ATTACHED: Final = 3
# NVML: NVML_GPU_VIRTUALIZATION_MODE_VGPU.
_VGPU: Final = 2
# NVIDIA, MIG User Guide: a GPU has seven slices at most. Far more are nonsense.
_SLICES_LIMIT: Final = 64
_ENGINES: Final = ("Copy", "Decoder", "Encoder", "Jpeg", "Ofa")
_FABRIC: Final = (
    ("nvmlDeviceGetGpuFabricInfoV", "c_nvmlGpuFabricInfo_v2_t"),
    ("nvmlDeviceGetGpuFabricInfo", "c_nvmlGpuFabricInfo_t"),
)


def read_gpu(nvml: Nvml, index: int) -> Gpu:
    """Return the facts of a GPU; raise DriverError where it does not answer."""
    handle = nvml.ask("nvmlDeviceGetHandleByIndex", index)
    facts = _Facts(nvml, handle)
    # What is served, and by which node, is told or the GPU cannot be served.
    mode = nvml.try_(None, "nvmlDeviceGetMigMode", handle)
    minor = nvml.try_(None, "nvmlDeviceGetMinorNumber", handle)
    memory = facts.ask("memory", "nvmlDeviceGetMemoryInfo")
    capability = facts.ask("capability", "nvmlDeviceGetCudaComputeCapability")
    address = facts.ask("address", "nvmlDeviceGetPciInfo")
    total = int(memory.total) if memory else 0
    return Gpu(
        index=index,
        uuid=str(nvml.ask("nvmlDeviceGetUUID", handle)),
        name=printable(str(facts.ask("name", "nvmlDeviceGetName") or "")),
        minor=minor,
        address=pci_address(address) if address else "",
        memory=total,
        capability=f"{capability[0]}.{capability[1]}" if capability else "",
        clique=_clique(nvml, handle),
        mig=bool(mode[0]) if mode else None,
        vgpu=facts.ask("vgpu", "nvmlDeviceGetVirtualizationMode") == _VGPU,
        slices=read_slices(nvml, handle, total) if mode and mode[0] else (),
        failed=tuple(facts.failed),
    )


class _Facts:
    """Asks for what a GPU can be served without; `failed` says which fields could not be told."""

    def __init__(self, nvml: Nvml, gpu: Any) -> None:
        self._nvml = nvml
        self._gpu = gpu
        self.failed: list[str] = []

    def ask(self, field: str, function: str) -> Any:
        try:
            return self._nvml.try_(None, function, self._gpu)
        except DriverError as error:
            if error.code == GPU_IS_LOST or error.of_driver:
                raise
            self.failed.append(field)
            return None


def slice_handles(nvml: Nvml, gpu: Any) -> dict[str, tuple[int, Any]]:
    """Return MIG index and handle of each slice, by UUID; a slice that goes meanwhile is left out.

    Indices have gaps where slices have been destroyed.
    """
    found = {}
    for index in range(min(nvml.try_(0, "nvmlDeviceGetMaxMigDeviceCount", gpu), _SLICES_LIMIT)):
        handle = nvml.try_(None, "nvmlDeviceGetMigDeviceHandleByIndex", gpu, index)
        uuid = nvml.try_("", "nvmlDeviceGetUUID", handle) if handle is not None else ""
        if uuid:
            found[str(uuid)] = index, handle
    return found


def read_slices(nvml: Nvml, gpu: Any, whole: int) -> tuple[Slice, ...]:
    """Return the slices of a GPU that has so many bytes of memory."""
    handles = slice_handles(nvml, gpu)
    return tuple(_slice(nvml, uuid, *found, whole) for uuid, found in handles.items())


def _slice(nvml: Nvml, uuid: str, index: int, handle: Any, whole: int) -> Slice:
    found = nvml.optional(None, "nvmlDeviceGetAttributes", handle)
    memory = int(found.memorySizeMB) * _MIB if found else _memory(nvml, handle)
    gpu_slices = found.gpuInstanceSliceCount if found else 0
    compute_slices = found.computeInstanceSliceCount if found else 0
    # NVML, nvmlDeviceGetName: the name of a MIG device identifies it by its attributes.
    profile = profile_in(str(nvml.optional("", "nvmlDeviceGetName", handle)))
    return Slice(
        uuid=uuid,
        index=index,
        profile=profile or profile_of(gpu_slices, compute_slices, memory, whole),
        instance=nvml.try_(NO_INSTANCE, "nvmlDeviceGetGpuInstanceId", handle),
        compute_instance=nvml.try_(NO_INSTANCE, "nvmlDeviceGetComputeInstanceId", handle),
        memory=memory,
        multiprocessors=found.multiprocessorCount if found else 0,
        gpu_slices=gpu_slices,
        compute_slices=compute_slices,
        engines={
            name.lower(): getattr(found, f"shared{name}{'Engine' if name == 'Copy' else ''}Count")
            for name in (_ENGINES if found else ())
        },
    )


def _memory(nvml: Nvml, handle: Any) -> int:
    found = nvml.optional(None, "nvmlDeviceGetMemoryInfo", handle)
    return int(found.total) if found else 0


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
