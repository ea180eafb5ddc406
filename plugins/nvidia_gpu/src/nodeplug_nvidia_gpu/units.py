"""What is served: GPUs as a whole, or slices."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from nodeplug_nvidia_gpu.facts import Gpu, Slice
from nodeplug_nvidia_gpu.naming import GPU_RESOURCE, is_uuid, mig_resource
from nodeplug_nvidia_gpu.settings import MigStrategy

# GPUs that only drive the screen of a workstation.
_DISPLAYS: Final = ("DGX Display", "NVIDIA DGX Display")


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU or a slice of one, with the resource it belongs to.

    `oddity` says why it cannot be handed out, whatever its health.
    """

    gpu: Gpu
    part: Slice | None
    resource: str
    oddity: str = ""

    @property
    def uuid(self) -> str:
        """NVML's id."""
        return self.part.uuid if self.part else self.gpu.uuid


class Omission(msgspec.Struct, frozen=True):
    """A GPU that brings no device, and why."""

    gpu: Gpu
    reason: str


def units(gpus: Iterable[Gpu], strategy: MigStrategy) -> tuple[list[Unit], list[Omission]]:
    """Return what is served under a MIG strategy, and what is not."""
    found: list[Unit] = []
    omitted: list[Omission] = []
    gpus = [*gpus]
    profile = _node_profile(gpus) if strategy == "single" else ""
    for gpu in gpus:
        mine = [*_units(gpu, strategy, profile)]
        if gpu.name in _DISPLAYS:
            omitted.append(Omission(gpu, "only drives a display"))
            continue
        if not mine:
            omitted.append(Omission(gpu, "MIG is on and there are no slices"))
        odd = [unit for unit in mine if unit.part and not unit.part.profile]
        omitted += [Omission(gpu, f"the profile of {unit.uuid} is not known") for unit in odd]
        found += [unit for unit in mine if unit not in odd]
    return found, omitted


def _units(gpu: Gpu, strategy: MigStrategy, profile: str) -> Iterator[Unit]:
    if strategy == "none" or not gpu.mig:
        oddity = "MIG is off, unlike on other GPUs of the node" if profile else ""
        yield Unit(gpu=gpu, part=None, resource=GPU_RESOURCE, oddity=oddity)
        return
    for part in gpu.slices:
        if not is_uuid(part.uuid):
            continue
        if strategy == "mixed":
            yield Unit(gpu=gpu, part=part, resource=mig_resource(part.profile))
        else:
            yield Unit(gpu=gpu, part=part, resource=GPU_RESOURCE, oddity=_odd(part, profile))


def _odd(part: Slice, profile: str) -> str:
    if part.profile == profile:
        return ""
    return f"its profile {part.profile} is not {profile}, that of the node's other slices"


def _node_profile(gpus: Sequence[Gpu]) -> str:
    """Return the profile that most slices have; of several, the first by name."""
    parts = (part for gpu in gpus if gpu.mig for part in gpu.slices if part.profile)
    counts = Counter(part.profile for part in parts)
    return min(counts, key=lambda profile: (-counts[profile], profile), default="")
