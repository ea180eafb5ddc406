"""A driver that reads of its GPUs in a file."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from nodeplug_nvidia_gpu.driver import (
    DRIVER_NOT_LOADED,
    GPU_IS_LOST,
    NONSENSE,
    DriverError,
)
from nodeplug_nvidia_gpu.facts import Ends, Event, Gpu, Pulse, Readings, Versions


class Description(msgspec.Struct, kw_only=True):
    """A node: its GPUs, which of them are linked by how many links, and which are lost."""

    versions: Versions
    gpus: list[Gpu]
    links: list[tuple[str, str, int]] = msgspec.field(default_factory=list)
    lost: list[str] = msgspec.field(default_factory=list)


class SimulatedDriver:
    """The driver of a node that is described in a JSON file; without the file there is none."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def watched(self) -> Mapping[Path, frozenset[str] | None]:
        """Return where the file lies."""
        return {self._file.parent: frozenset({self._file.name})}

    def open(self) -> None:
        """Look whether there is a file."""
        self._read()

    def close(self) -> None:
        """Do nothing."""

    def outdated(self) -> bool:
        """Return False: the file is read anew each time."""
        return False

    def versions(self) -> Versions:
        """Return what the file says."""
        return self._read().versions

    def count(self) -> int:
        """Return how many GPUs the file has."""
        return len(self._read().gpus)

    def pulse(self, index: int) -> Pulse:
        """Return what becomes of a GPU; raise DriverError for a lost one."""
        gpu = self.gpu(index)
        slices = tuple(each.uuid for each in gpu.slices)
        return Pulse(uuid=gpu.uuid, mig=gpu.mig, slices=slices)

    def gpu(self, index: int) -> Gpu:
        """Return what the file says of a GPU."""
        read = self._read()
        if index >= len(read.gpus):
            raise DriverError("GPU is lost", GPU_IS_LOST)
        gpu = read.gpus[index]
        if gpu.uuid in read.lost:
            raise DriverError("GPU is lost", GPU_IS_LOST)
        return gpu

    def ends(self, gpu: Gpu) -> Ends:
        """Return the links of the file."""
        links = self._read().links
        return {b if a == gpu.uuid else a: n for a, b, n in links if gpu.uuid in {a, b}}

    def unheard(self, gpus: Sequence[Gpu]) -> Sequence[Gpu]:  # noqa: ARG002 - of none
        """Return none: there are no events."""
        return ()

    def listen(self, gpu: Gpu) -> None:
        """Do nothing: there are no events."""

    def event(self, timeout: float) -> Event | None:
        """Wait in vain."""
        time.sleep(timeout)
        return None

    def measure(self, gpu: Gpu) -> Mapping[str, Readings]:
        """Return readings of an idle GPU."""
        if gpu.uuid in self._read().lost:
            return {}
        idle = Readings(
            temperature=30.0,
            power=50.0,
            memory_used=0.0,
            memory_size=float(gpu.memory),
            utilization=0.0,
            errors=0.0,
        )
        return {gpu.uuid: idle}

    def _read(self) -> Description:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Description)
        except OSError as error:
            raise DriverError(f"{self._file}: {error.strerror}", DRIVER_NOT_LOADED) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DriverError(f"{self._file}: {error}", NONSENSE) from error
