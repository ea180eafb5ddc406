"""Labels of the node, as NVIDIA's GPU feature discovery has them."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from nodeplug.backend import Offered
from nodeplug.values.device import Device
from nodeplug_nvidia_gpu.facts import Gpu, Slice, Versions
from nodeplug_nvidia_gpu.naming import family
from nodeplug_nvidia_gpu.settings import MigStrategy

_MIB: Final = 1 << 20
# NVIDIA: MPS works from compute capability 3.5 on.
_MPS_SINCE: Final = (3, 5)
_UNFIT: Final = re.compile(r"[^A-Za-z0-9\-_. ]")
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
    found = _of_node(node, strategy)
    for native in sorted({offer.native for offer in offers.values()}):
        mine = {name: o for name, o in offers.items() if o.native == native and o.devices}
        found |= _of_resource(native, mine, node) if mine else {}
    return {f"nvidia.com/{name}": _fit(value) for name, value in found.items()}


def _of_node(node: Node, strategy: MigStrategy) -> Labels:
    counts = Counter(gpu.capability for gpu in node.gpus)
    capability = min(counts, key=lambda each: (-counts[each], each))
    major, _, minor = capability.partition(".")
    found = {
        "gfd.timestamp": str(node.started),
        "gpu.machine": node.machine or "unknown",
        **_version("cuda.driver-version", ("major", "minor", "revision"), node.versions.driver),
        **_version("cuda.driver", ("major", "minor", "rev"), node.versions.driver, full=False),
        **_version("cuda.runtime-version", ("major", "minor"), node.versions.cuda),
        **_version("cuda.runtime", ("major", "minor"), node.versions.cuda, full=False),
        "mig.capable": _text(any(gpu.mig is not None for gpu in node.gpus)),
        "mps.capable": _text(all(_can_mps(gpu) for gpu in node.gpus)),
        "vgpu.present": _text(any(gpu.vgpu for gpu in node.gpus)),
        "gpu.family": family(capability) or "undefined",
        "gpu.compute.major": major,
        "gpu.compute.minor": minor,
        "gpu.mode": _mode(node.classes),
    }
    cliques = {gpu.clique for gpu in node.gpus}
    if len(cliques) == 1 and "" not in cliques:
        found["gpu.clique"] = cliques.pop()
    if strategy != "none":
        found["mig.strategy"] = strategy
    return found


def _version(prefix: str, parts: Sequence[str], version: str, *, full: bool = True) -> Labels:
    numbers = [*version.split("."), *([""] * len(parts))]
    found = {f"{prefix}.{part}": number for part, number in zip(parts, numbers, strict=False)}
    return found | ({f"{prefix}.full": version} if full else {})


def _can_mps(gpu: Gpu) -> bool:
    major, _, minor = gpu.capability.partition(".")
    known = major.isdigit() and minor.isdigit() and not gpu.mig
    return known and (int(major), int(minor)) >= _MPS_SINCE


def _of_resource(native: str, offers: Mapping[str, Offered], node: Node) -> Labels:
    prefix = native.removeprefix("nvidia.com/")
    devices = [device for offer in offers.values() for device in offer.devices]
    sample = _most(devices)
    shared = max(offer.replicas for offer in offers.values())
    keeps_name = native in offers and offers[native].replicas > 1
    found = {
        "product": _product(sample) + ("-SHARED" if keeps_name else ""),
        "count": str(len(devices)),
        "replicas": str(shared),
        "sharing-strategy": "time-slicing" if shared > 1 else "none",
        "memory": str(sample.capacity["memory"] // _MIB),
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
    profile = device.attributes.get("profile")
    return f"{model}-MIG-{profile}" if profile else model


def _slices(gpus: Sequence[Gpu]) -> dict[str, Slice]:
    return {part.uuid: part for gpu in gpus for part in gpu.slices}


def _of_slice(part: Slice) -> Iterator[tuple[str, str]]:
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
    return _UNFIT.sub("", value).strip().replace(" ", "-")[:63].strip("-_.")
