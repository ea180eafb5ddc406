"""What a driver says of its GPUs, as plain values."""

from collections.abc import Mapping

import msgspec

# NVML: stands where an event or a device belongs to no GPU instance or compute instance.
NO_INSTANCE = 0xFFFFFFFF


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """A MIG device: a part of a GPU that is used as if it were one.

    `index` counts within the GPU. `profile` is NVML's, as in "1g.5gb" or "1c.3g.20gb+me";
    `memory` is in bytes.
    """

    uuid: str
    index: int
    profile: str
    instance: int = NO_INSTANCE
    compute_instance: int = NO_INSTANCE
    memory: int = 0
    multiprocessors: int = 0
    gpu_slices: int = 0
    compute_slices: int = 0
    engines: Mapping[str, int] = msgspec.field(default_factory=dict)


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU. `address` is domain:bus:device.function as sysfs has it, `memory` is in bytes.

    `capability` is the compute capability, as in "8.0"; `mig` is None where there is no MIG.
    `clique` is "<cluster uuid>.<clique id>" of a GPU that is part of a fabric, `vgpu` is True in a
    guest that has a part of a GPU, None where that could not be told. `node` is the device node
    where it is not /dev/nvidia<minor>. 0 bytes and empty texts stand for what is not known;
    `failed` names the fields that the driver could not tell this time, which the next look asks
    for again.
    """

    index: int
    uuid: str
    name: str = ""
    minor: int | None = None
    address: str = ""
    memory: int = 0
    capability: str = ""
    clique: str = ""
    mig: bool | None = None
    vgpu: bool | None = False
    node: str = ""
    slices: tuple[Slice, ...] = ()
    failed: tuple[str, ...] = ()

    def filled(self, known: "Gpu | None") -> "Gpu":
        """Return it with what was known before of fields that failed."""
        if known is None or not self.failed:
            return self
        fields = {name: getattr(known, name) for name in self.failed}
        if "slices" in fields:
            before = {part.uuid: part for part in known.slices}
            fields["slices"] = tuple(before.get(part.uuid, part) for part in self.slices)
        return msgspec.structs.replace(self, **fields)


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """What the driver calls itself, and the CUDA version that it can run, as in "12.4"."""

    driver: str = ""
    cuda: str = ""


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at often: who a GPU is, and what is wrong with it.

    `slices` is None where neither these nor `mig` could be told. `conditions` says by its source
    what is wrong as long as it is; `uncorrectable` counts memory
    errors since the driver was loaded, None where that is not counted.
    """

    uuid: str
    mig: bool | None = None
    slices: tuple[str, ...] | None = ()
    conditions: Mapping[str, str] = msgspec.field(default_factory=dict)
    uncorrectable: int | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something the driver told of. `uuid` is empty where it did not say of which GPU.

    `xid` is None for a memory error that was told as such.
    """

    uuid: str
    xid: int | None
    instance: int = NO_INSTANCE
    compute_instance: int = NO_INSTANCE


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of a GPU or slice; None for what cannot be."""

    temperature: float | None = None
    power: float | None = None
    memory_used: float | None = None
    memory_size: float | None = None
    utilization: float | None = None
    errors: float | None = None


Ends = Mapping[str, int]
"""How many links of a GPU end at a PCI address, at a GPU with a UUID, or at switches."""

SWITCHES = "switches"

Links = Mapping[tuple[str, str], int]
"""How many links lie between two GPUs, by their UUIDs in order."""
