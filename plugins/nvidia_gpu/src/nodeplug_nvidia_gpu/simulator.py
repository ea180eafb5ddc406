"""Simulated GPUs: nodes of several makes, as files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from nodeplug_nvidia_gpu.facts import Gpu
from nodeplug_nvidia_gpu.naming import GPU_RESOURCE
from nodeplug_nvidia_gpu.simulated import Description
from nodeplug_nvidia_gpu.simulated_nodes import a100_node

_FILE: Final = "/etc/simulated-gpus.json"
_LOST: Final = 1


class NvidiaGpuSimulator:
    """A node of `simulated_nodes`, with device nodes and a PCI bus; eight A100 unless told else."""

    def __init__(self, folder: Path, description: Description | None = None) -> None:
        self._file = folder / _FILE[1:]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._description = description or a100_node()
        self._make_nodes(folder / "dev")
        for number, gpu in enumerate(self._description.gpus):
            _plug(folder, gpu, socket=2 * number // len(self._description.gpus))
        self.recover()

    @property
    def resource(self) -> str:
        """GPUs as a whole."""
        return GPU_RESOURCE

    @property
    def settings(self) -> Mapping[str, object]:
        """Device nodes are passed, and health returns at once."""
        return {
            "simulation": _FILE,
            "passDeviceSpecs": True,
            "health": {"holdOffSeconds": 0},
        }

    def lose(self) -> str:
        """Have a GPU fall off the bus."""
        uuid = self._description.gpus[_LOST].uuid
        self._write([uuid])
        return uuid

    def recover(self) -> None:
        """Have it back."""
        self._write([])

    def _write(self, lost: list[str]) -> None:
        self._description.lost = lost
        temporary = self._file.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(self._description))
        temporary.replace(self._file)

    def _make_nodes(self, dev: Path) -> None:
        dev.mkdir(exist_ok=True)
        minors = [gpu.minor for gpu in self._description.gpus]
        for name in ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"):
            (dev / name).touch()
        for minor in minors:
            (dev / f"nvidia{minor}").touch()


def _plug(folder: Path, gpu: Gpu, socket: int) -> None:
    """Put a GPU behind a bridge of a processor socket."""
    bus = gpu.address.split(":")[1]
    place = folder / f"sys/devices/pci0000:{socket:02x}/0000:{socket:02x}:{bus[0]}.0/{gpu.address}"
    place.mkdir(parents=True, exist_ok=True)
    facts = {"vendor": "0x10de", "device": "0x20b0", "class": "0x030200", "numa_node": str(socket)}
    for name, text in facts.items():
        (place / name).write_text(f"{text}\n")
    link = folder / "sys/bus/pci/devices" / gpu.address
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(f"../../../{place.relative_to(folder / 'sys')}")
