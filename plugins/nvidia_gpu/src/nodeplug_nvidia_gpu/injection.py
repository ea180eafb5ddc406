"""What containers get for their devices, in the ways that NVIDIA's plugin knows."""

import zlib
from collections.abc import Iterable, Sequence
from typing import Final

from nodeplug.values.device import Device
from nodeplug.values.edits import ContainerEdits, DeviceNode, Mount
from nodeplug_nvidia_gpu.facts import NO_INSTANCE
from nodeplug_nvidia_gpu.settings import NvidiaGpuSettings
from nodeplug_nvidia_gpu.surroundings import Surroundings, channel
from nodeplug_nvidia_gpu.units import Unit

# NVIDIA's container runtime: a folder of mounts whose names name the devices.
_VOLUMES: Final = "/var/run/nvidia-container-devices"
# The CDI vendor of NVIDIA's plugin, which it writes specifications of its own for.
OWN_VENDOR: Final = "k8s.device-plugin.nvidia.com"


class Injection:
    """Makes container edits under one configuration."""

    def __init__(self, settings: NvidiaGpuSettings) -> None:
        self._settings = settings
        strategies = {*settings.device_list_strategy}
        self._by_env = "envvar" in strategies
        self._by_volume = "volume-mounts" in strategies
        self._by_annotation = "cdi-annotations" in strategies
        self._by_cri = "cdi-cri" in strategies
        self._pass_nodes = settings.pass_device_specs and (self._by_env or self._by_volume)

    @property
    def by_cdi(self) -> bool:
        """Whether devices are named in the terms of CDI."""
        return self._by_annotation or self._by_cri

    def of_unit(self, unit: Unit, around: Surroundings) -> ContainerEdits:
        """Return what one device brings, whatever others a container gets."""
        name = self.name_of(unit)
        mounts = (Mount("/dev/null", f"{_VOLUMES}/{name}", read_only=False),)
        return ContainerEdits(
            nodes=self._nodes(nodes_of(unit, around)) if self._pass_nodes else (),
            mounts=mounts if self._by_volume else (),
            cdi_devices=(self._qualified(name, around),) if self._by_cri else (),
        )

    def common(self, around: Surroundings) -> ContainerEdits:
        """Return what every container with a device gets before its devices."""
        return ContainerEdits(
            nodes=self._nodes(around.control) if self._pass_nodes else (),
            envs={f"NVIDIA_{key}": "enabled" for key in self._switches()},
        )

    def of_set(
        self, resource: str, devices: Sequence[Device], around: Surroundings
    ) -> ContainerEdits:
        """Return what names all devices of a container at once, and what it gets besides them."""
        ordered = sorted(devices, key=self._rank)
        names = [self._name(*_indices(each), str(each.attributes["uuid"])) for each in ordered]
        further = [*self._further(around)]
        mounts = (
            Mount("/dev/null", f"{_VOLUMES}/imex/{n}", read_only=False) for n in around.channels
        )
        return ContainerEdits(
            nodes=self._nodes(map(channel, around.channels)) if self._pass_nodes else (),
            mounts=tuple(mounts) if self._by_volume else (),
            envs=self._envs(names, around.channels),
            annotations=self._annotations(resource, names, further, around),
            cdi_devices=tuple(further) if self._by_cri else (),
        )

    def paths_of(self, unit: Unit, around: Surroundings) -> list[str]:
        """Return the nodes of a unit as paths of the host, passed or not."""
        return [self._settings.nodes_root + path for path in nodes_of(unit, around)]

    def _envs(self, names: Sequence[str], channels: Sequence[int]) -> dict[str, str]:
        envs = {}
        if self._by_env:
            envs["NVIDIA_VISIBLE_DEVICES"] = ",".join(names)
            if channels:
                envs["NVIDIA_IMEX_CHANNELS"] = ",".join(map(str, channels))
        if self._by_volume:
            envs["NVIDIA_VISIBLE_DEVICES"] = _VOLUMES
        return envs

    def _annotations(
        self, resource: str, names: Sequence[str], further: Sequence[str], around: Surroundings
    ) -> dict[str, str]:
        if not self._by_annotation:
            return {}
        # R60: of equal keys the kubelet keeps one, so every resource has a key of its own.
        mark = f"nvidia-device-plugin_{zlib.crc32(resource.encode()):08x}"
        qualified = [*(self._qualified(name, around) for name in names), *further]
        return {self._settings.cdi.annotation_prefix + mark: ",".join(qualified)}

    def name_of(self, unit: Unit) -> str:
        """Return what a device is called in a container's environment."""
        return self._name(unit.gpu.index, unit.part.index if unit.part else None, unit.uuid)

    def _name(self, index: int, part: int | None, uuid: str) -> str:
        if self._settings.device_id_strategy == "uuid":
            return uuid
        return str(index) if part is None else f"{index}:{part}"

    def _rank(self, device: Device) -> tuple[int, int, str]:
        if self._settings.device_id_strategy == "uuid":
            return 0, 0, device.id
        index, part = _indices(device)
        return index, part or 0, device.id

    def _qualified(self, name: str, around: Surroundings) -> str:
        if name in around.cdi:
            return f"{self._settings.cdi.kind}={name}"
        return f"{OWN_VENDOR}/gpu={name}"

    def _further(self, around: Surroundings) -> Iterable[str]:
        yield from (f"{OWN_VENDOR}/imex-channel={number}" for number in around.channels)
        yield from (f"{OWN_VENDOR}/{name}=all" for name, e in around.further.items() if e.nodes)

    def _switches(self) -> Iterable[str]:
        for key in ("gdrcopy", "gds", "mofed"):
            if getattr(self._settings, key):
                yield key.upper()

    def _nodes(self, paths: Iterable[str]) -> tuple[DeviceNode, ...]:
        root = self._settings.nodes_root
        return tuple(DeviceNode(root + path, path, "rw") for path in paths)


def nodes_of(unit: Unit, around: Surroundings) -> list[str]:
    """Return the device nodes of a GPU, or of a slice: its GPU's and those of its capabilities."""
    own = unit.gpu.node or f"/dev/nvidia{unit.gpu.minor}"
    nodes = [own] if unit.gpu.node or unit.gpu.minor is not None else []
    part = unit.part
    if part is not None and part.instance != NO_INSTANCE:
        place = f"gpu{unit.gpu.minor}/gi{part.instance}"
        names = (f"{place}/access", f"{place}/ci{part.compute_instance}/access")
        minors = (around.minors[name] for name in names if name in around.minors)
        nodes += (f"/dev/nvidia-caps/nvidia-cap{minor}" for minor in minors)
    return nodes


def _indices(device: Device) -> tuple[int, int | None]:
    index, part = device.attributes["index"], device.attributes.get("migIndex")
    return int(index), None if part is None else int(part)
