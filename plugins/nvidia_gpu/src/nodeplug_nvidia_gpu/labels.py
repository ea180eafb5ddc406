"""Labels of the node, as NVIDIA's GPU feature discovery has them."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from nodeplug.backend import Offered
from nodeplug.values.device import Device
from nodeplug_nvidia_gpu.facts import Gpu, Slice, Versions
from nodeplug_nvidia_gpu.naming import GPU_RESOURCE, family
from nodeplug_nvidia_gpu.settings import MigStrategy
from nodeplug_nvidia_gpu.units import units

_MIB: Final = 1 << 20
_UNFIT: Final = re.compile(r"[^A-Za-z0-9\-_. ]")
_BLANKS: Final = re.compile(r" +")
# What is said of a node whose slices do not fit `single`.
_INVALID: Final = {
    "gpu.count": "0",
    "gpu.replicas": "0",
    "gpu.memory": "0",
    "gpu.sharing-strategy": "",
}
_MODES: Final = {"0300": "graphics", "0302": "compute"}

Labels = dict[str, str]


class Node(NamedTuple):
    """What labels say that no single device does.

    `classes` are the PCI classes of the GPUs, `started` is when the agent was, in seconds since
    1970.
    """

    gpus: Sequence[Gpu]
    versions: Versions
    machine: str
    classes: Collection[str]
    started: int


def labels(offers: Mapping[str, Offered], strategy: MigStrategy, node: Node) -> Mapping[str, str]:
    """Return all labels, none where there is no GPU.

    Where GPUs differ, the labels of a resource are those of the kind that it has most of.
    """
    if not node.gpus:
        return {}
    found = _of_node(node, strategy) | _of_sliced(node, strategy)
    odd_model = _odd_model(node.gpus) if strategy == "single" else None
    for native in sorted({offer.native for offer in offers.values()}):
        mine = {name: o for name, o in offers.items() if o.native == native and o.devices}
        if mine and odd_model is None:
            found |= _of_resource(native, mine, node, mixed=strategy == "mixed")
    if odd_model is not None:
        found |= _INVALID | {"gpu.product": f"{odd_model}-MIG-INVALID"}
    return {f"nvidia.com/{name}": _fit(value) for name, value in found.items()}


def _of_sliced(node: Node, strategy: MigStrategy) -> Labels:
    """Return what GPU labels say where all GPUs are given as slices of several resources.

    Where there are whole ones, too, what is said of those comes over it.
    """
    sliced = [gpu for gpu in node.gpus if gpu.mig]
    if strategy != "mixed" or not sliced:
        return {}
    counts = Counter(gpu.name for gpu in sliced)
    sample = min(sliced, key=lambda gpu: (-counts[gpu.name], gpu.name, gpu.index))
    found = {"product": sample.name, "replicas": "0", "sharing-strategy": "none"}
    found |= {"count": str(counts[sample.name]), **_memory(sample.memory)}
    return {f"gpu.{name}": value for name, value in found.items()}


def _memory(size: int) -> Labels:
    return {"memory": str(size // _MIB)} if size else {}


def _odd_model(gpus: Sequence[Gpu]) -> str | None:
    """Return the model of a GPU with MIG where `single` has no one kind of slice, else None."""
    served, omitted = units(gpus, "single")
    models = [gpu.name for gpu in gpus if gpu.mig]
    odd = any(unit.oddity for unit in served) or any(each.gpu.mig for each in omitted)
    return models[0] if odd and models else None


def _of_node(node: Node, strategy: MigStrategy) -> Labels:
    found = {
        "gfd.timestamp": str(node.started),
        "gpu.machine": node.machine or "unknown",
        **_version("cuda.driver-version", ("major", "minor", "revision"), node.versions.driver),
        **_version("cuda.driver", ("major", "minor", "rev"), node.versions.driver, full=False),
        **_version("cuda.runtime-version", ("major", "minor"), node.versions.cuda),
        **_version("cuda.runtime", ("major", "minor"), node.versions.cuda, full=False),
        "mig.capable": _text(any(gpu.mig is not None for gpu in node.gpus)),
        # NVIDIA's own MPS daemons run where this is true, and we do not share by MPS.
        "mps.capable": _text(False),
        "gpu.mode": _mode(node.classes),
        **_capability(node.gpus),
    }
    virtual = {gpu.vgpu for gpu in node.gpus}
    if True in virtual or None not in virtual:
        found["vgpu.present"] = _text(True in virtual)
    cliques = {gpu.clique for gpu in node.gpus if gpu.clique}
    if len(cliques) == 1:
        found["gpu.clique"] = cliques.pop()
    if strategy != "none":
        found["mig.strategy"] = strategy
    return found


def _capability(gpus: Sequence[Gpu]) -> Labels:
    """Return what most of the GPUs of which it is known can compute."""
    counts = Counter(gpu.capability for gpu in gpus if gpu.capability)
    if not counts:
        return {}
    capability = min(counts, key=lambda each: (-counts[each], each))
    major, _, minor = capability.partition(".")
    known = {"family": family(capability) or "undefined", "compute.major": major}
    return {f"gpu.{name}": value for name, value in {**known, "compute.minor": minor}.items()}


def _version(prefix: str, parts: Sequence[str], version: str, *, full: bool = True) -> Labels:
    if not version:
        return {}
    numbers = [*version.split("."), *([""] * len(parts))]
    found = {f"{prefix}.{part}": number for part, number in zip(parts, numbers, strict=False)}
    return found | ({f"{prefix}.full": version} if full else {})


def _of_resource(native: str, offers: Mapping[str, Offered], node: Node, *, mixed: bool) -> Labels:
    prefix = native.removeprefix("nvidia.com/")
    devices = [device for offer in offers.values() for device in offer.devices]
    sample = _most(devices)
    shared = max(offer.replicas for offer in offers.values())
    keeps_name = native in offers and offers[native].replicas > 1
    count = len(devices)
    # NVIDIA counts whole GPUs of one model, and among them those that are given as slices.
    if native == GPU_RESOURCE and "profile" not in sample.attributes:
        count = sum(_product(each) == _product(sample) for each in devices)
        model = sample.attributes.get("model", "")
        count += sum(bool(gpu.mig) and gpu.name == model for gpu in node.gpus) if mixed else 0
    found = {
        "product": _product(sample) + ("-SHARED" if keeps_name else ""),
        "count": str(count),
        "replicas": str(shared),
        "sharing-strategy": "time-slicing" if shared > 1 else "none",
        **_memory(sample.capacity.get("memory", 0)),
    }
    part = _slices(node.gpus).get(str(sample.attributes["uuid"]))
    found |= dict(_of_slice(part)) if part else {}
    return {f"{prefix}.{name}": value for name, value in found.items()}


def _most(devices: Sequence[Device]) -> Device:
    """Return a device of the kind that most are of; of several kinds, the first by name."""
    kinds = Counter(_product(device) for device in devices)
    common = min(kinds, key=lambda kind: (-kinds[kind], kind))
    return next(device for device in devices if _product(device) == common)


def _product(device: Device) -> str:
    model = str(device.attributes.get("model", "unknown"))
    profile = str(device.attributes.get("profile", "")).replace("+", ".")
    return f"{model}-MIG-{profile}" if profile else model


def _slices(gpus: Sequence[Gpu]) -> dict[str, Slice]:
    return {part.uuid: part for gpu in gpus for part in gpu.slices}


def _of_slice(part: Slice) -> Iterator[tuple[str, str]]:
    if not part.gpu_slices:
        return  # the driver did not say
    yield "multiprocessors", str(part.multiprocessors)
    yield "slices.gi", str(part.gpu_slices)
    yield "slices.ci", str(part.compute_slices)
    for name, count in part.engines.items():
        yield f"engines.{name}", str(count)


def _mode(classes: Collection[str]) -> str:
    modes = {_MODES.get(each[:4], "unknown") for each in classes}
    return modes.pop() if len(modes) == 1 else "unknown"


def _text(value: bool) -> str:  # noqa: FBT001 - only turns it into text
    return str(value).lower()


def _fit(value: str) -> str:
    """Return a value as Kubernetes takes it: 63 characters, alphanumeric at both ends."""
    return _BLANKS.sub("-", _UNFIT.sub("", value).strip())[:63].strip("-_.")
