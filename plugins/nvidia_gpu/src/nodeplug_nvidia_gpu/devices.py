"""From what was seen to devices."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from nodeplug.backend import Omissions
from nodeplug.values.device import Attribute, Device, Health, as_attribute
from nodeplug.values.errors import InvalidValueError
from nodeplug.values.inventory import Inventory
from nodeplug_nvidia_gpu.facts import Gpu, Slice, Versions
from nodeplug_nvidia_gpu.hardware import hardware_of
from nodeplug_nvidia_gpu.health import HealthBook
from nodeplug_nvidia_gpu.injection import Injection
from nodeplug_nvidia_gpu.naming import GPU_RESOURCE, device_id, family, printable
from nodeplug_nvidia_gpu.settings import NvidiaGpuSettings
from nodeplug_nvidia_gpu.surroundings import Place, Surroundings
from nodeplug_nvidia_gpu.units import Unit, units
from nodeplug_nvidia_gpu.view import View

_GIB: Final = 1 << 30


class Maker:
    """Makes inventories under one configuration."""

    def __init__(self, settings: NvidiaGpuSettings, injection: Injection) -> None:
        self._settings = settings
        self._injection = injection

    def inventory(self, view: View, around: Surroundings, book: HealthBook) -> Inventory:
        """Return all devices; where there is none, a resource without devices."""
        served, _ = units(view.gpus, self._settings.mig_strategy)
        left_out = Omissions(each.partition(": ")[::2] for each in view.strangers)
        lacking = self._lacking(around)
        devices: dict[str, Device] = {}
        for unit in served:
            with left_out.alone(unit.uuid):
                reason = lacking or _reason(unit, book)
                device = self._device(unit, around, view.versions, reason)
                if devices.setdefault(device.id, device) is not device:
                    raise InvalidValueError("its UUID is another device's, too")
        inventory = Inventory.of(
            devices.values(),
            resources=() if devices else (GPU_RESOURCE,),
            edits=self._injection.common(around),
            links=_links(view, served),
        )
        return replace(inventory, left_out=left_out)

    def _lacking(self, around: Surroundings) -> str:
        wanted = self._settings.imex
        missing = sorted({*wanted.channel_ids} - {*around.channels})
        if not wanted.required or not missing:
            return ""
        return f"IMEX channels are missing: {', '.join(map(str, missing))}"

    def _device(self, unit: Unit, around: Surroundings, versions: Versions, reason: str) -> Device:
        place = around.places.get(unit.gpu.address, Place())
        memory = (unit.part or unit.gpu).memory
        return Device(
            id=device_id(unit.uuid),
            resource=unit.resource,
            health=Health.UNHEALTHY if reason else Health.HEALTHY,
            reason=reason,
            parent=unit.gpu.uuid if unit.part else "",
            numa_nodes=place.numa,
            location=place.location,
            attributes=_attributes(unit, versions),
            capacity={"memory": memory} if memory else {},
            edits=self._injection.of_unit(unit, around),
            hardware=hardware_of(unit, self._injection.paths_of(unit, around)),
        )


def _reason(unit: Unit, book: HealthBook) -> str:
    gpu = unit.gpu
    nameless = "its minor number, and so its device node, is not known"
    unknown = nameless if gpu.minor is None and "minor" in gpu.failed else ""
    return unit.oddity or book.reason(gpu.uuid, unit.part) or unknown


def _attributes(unit: Unit, versions: Versions) -> dict[str, Attribute]:
    """Return the facts of a device, less those that nobody knows."""
    found = _of_gpu(unit.gpu) | (_of_slice(unit.gpu, unit.part) if unit.part else {})
    found |= {"driverVersion": versions.driver, "cudaVersion": versions.cuda}
    return {name: _fit(value) for name, value in found.items() if value not in {"", None}}


def _of_gpu(gpu: Gpu) -> dict[str, Attribute]:
    known: dict[str, Attribute] = {
        "uuid": gpu.uuid,
        "index": gpu.index,
        "nvmlIndex": str(gpu.index),
        "model": gpu.name,
        "pciAddress": gpu.address,
        "memory": _gib(gpu.memory),
        "architecture": family(gpu.capability),
        "computeCapability": gpu.capability,
        "fabricClique": gpu.clique,
        "migEnabled": bool(gpu.mig),
        "migCapable": gpu.mig is not None,
    }
    return known if gpu.minor is None else known | {"minor": gpu.minor}


def _of_slice(gpu: Gpu, part: Slice) -> dict[str, Attribute]:
    return {
        "uuid": part.uuid,
        "memory": _gib(part.memory),
        "migIndex": part.index,
        "nvmlIndex": f"{gpu.index}:{part.index}",
        "profile": part.profile,
        "gpuInstance": part.instance,
        "computeInstance": part.compute_instance,
    }


def _gib(size: int) -> Attribute:
    return round(size / _GIB) if size else ""


def _fit(value: Attribute) -> Attribute:
    return as_attribute(printable(value)) if isinstance(value, str) else value


def _links(view: View, served: Sequence[Unit]) -> dict[tuple[str, str], int]:
    """Return the links of GPUs that are served; device ids of GPUs are their UUIDs."""
    present = {unit.gpu.uuid for unit in served}
    return {pair: count for pair, count in view.links.items() if present.issuperset(pair)}
