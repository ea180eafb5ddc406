"""The true driver."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from nodeplug.host.root import HostRoot
from nodeplug_nvidia_gpu.driver import NO_LIBRARY, DriverError
from nodeplug_nvidia_gpu.facts import Ends, Event, Gpu, Pulse, Readings, Versions
from nodeplug_nvidia_gpu.library import Identity, Library, identity, watched
from nodeplug_nvidia_gpu.nvml import FUNCTION_NOT_FOUND, NOT_SUPPORTED, TIMEOUT, Nvml
from nodeplug_nvidia_gpu.nvml_facts import read_gpu
from nodeplug_nvidia_gpu.nvml_links import read_ends
from nodeplug_nvidia_gpu.nvml_pulse import Pulses
from nodeplug_nvidia_gpu.nvml_readings import read_readings
from nodeplug_nvidia_gpu.settings import NvidiaGpuSettings

# NVML: nvmlEventTypeDoubleBitEccError and nvmlEventTypeXidCriticalError.
_DOUBLE_BIT: Final = 0x2
_XID: Final = 0x8
# How long a thread that waits for events may take to let go.
_PATIENCE_SECONDS: Final = 2.0
# NVIDIA's driver: nodes that appear with it and with its GPUs.
_NODES: Final = frozenset({"nvidiactl", *(f"nvidia{minor}" for minor in range(64))})


class NvmlDriver:
    """Asks NVML. `open` finds the library; until there is one, it raises DriverError."""

    def __init__(self, root: HostRoot, settings: NvidiaGpuSettings) -> None:
        self._root = root
        self._library = Library(root, settings)
        self._nvml = Nvml()
        self._pulses = Pulses(self._nvml)
        self._opened: tuple[Path | None, Identity | None, frozenset[str]]
        self._events: Any = None
        self._heard: dict[str, int] = {}
        self._joining = 0
        self._deaf = False
        self._gate = threading.Lock()
        self._registering = threading.Lock()
        self._ready = threading.Event()

    def watched(self) -> Mapping[Path, frozenset[str] | None]:
        """Return where the library and device nodes may appear."""
        capabilities = self._root.dev / "nvidia-caps"
        return {**watched(self._library.folders()), self._root.dev: _NODES, capabilities: None}

    def open(self) -> None:
        """Load the library and begin."""
        path = self._library.find()
        if path is None and not self._library.by_name:
            raise DriverError("libnvidia-ml.so.1 is not installed", NO_LIBRARY)
        found = self._found(path)
        self._nvml.open(path)
        self._opened = found
        self._pulses.begin()
        self._deaf = False

    def close(self) -> None:
        """End and unload the library; what hangs in it keeps it."""
        self._ready.clear()
        if self._gate.acquire(timeout=_PATIENCE_SECONDS):
            try:
                self._drop_events()
                self._nvml.close()
            finally:
                self._gate.release()

    def outdated(self) -> bool:
        """Return whether another library or another set of GPUs is there."""
        return self._found(self._library.find()) != self._opened

    def versions(self) -> Versions:
        """Return what the library says of itself."""
        cuda = self._version(0, "nvmlSystemGetCudaDriverVersion_v2")
        cuda = cuda or self._version(0, "nvmlSystemGetCudaDriverVersion")
        return Versions(
            driver=self._version("", "nvmlSystemGetDriverVersion"),
            cuda=f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else "",
        )

    def _version(self, default: Any, function: str) -> Any:
        # GPUs are served without; whether the driver answers at all, `count` tells.
        with suppress(DriverError):
            return self._nvml.ask(function)
        return default

    def count(self) -> int:
        """Return how many GPUs NVML counts, lost ones included."""
        return int(self._nvml.ask("nvmlDeviceGetCount"))

    def pulse(self, index: int) -> Pulse:
        """Ask who a GPU is and whether it answers."""
        return self._pulses.take(index)

    def gpu(self, index: int) -> Gpu:
        """Ask for all facts of a GPU."""
        return read_gpu(self._nvml, index)

    def ends(self, gpu: Gpu) -> Ends:
        """Ask where the NVLinks of a GPU end."""
        return read_ends(self._nvml, gpu)

    def measure(self, gpu: Gpu) -> Mapping[str, Readings]:
        """Ask for what can be measured."""
        return read_readings(self._nvml, gpu)

    def unheard(self, gpus: Sequence[Gpu]) -> Sequence[Gpu]:
        """Return those that are not registered yet; none where there are no events."""
        if self._deaf:
            return ()
        with self._registering:
            present = {gpu.uuid for gpu in gpus}
            self._heard = {uuid: each for uuid, each in self._heard.items() if uuid in present}
            new = [gpu for gpu in gpus if gpu.uuid not in self._heard]
            if new and self._events is None:
                self._events = self._nvml.try_(None, "nvmlEventSetCreate")
            if self._events is None:
                return ()
            self._ready.set()
            return new

    def listen(self, gpu: Gpu) -> None:
        """Register for the events of a GPU; one that has none is left to looks."""
        with self._registering:
            events = self._events
            self._joining += 1
        try:
            handle = self._register(gpu, events)
        finally:
            with self._registering:
                self._joining -= 1
        with self._registering:
            if events is self._events:
                self._heard[gpu.uuid] = self._nvml.address(handle)

    def _register(self, gpu: Gpu, events: Any) -> Any:
        handle = self._nvml.ask("nvmlDeviceGetHandleByIndex", gpu.index)
        kinds = self._nvml.try_(0, "nvmlDeviceGetSupportedEventTypes", handle)
        kinds &= _XID | _DOUBLE_BIT
        if kinds and events is not None:
            self._nvml.try_(None, "nvmlDeviceRegisterEvents", handle, kinds, events)
        return handle

    def event(self, timeout: float) -> Event | None:
        """Wait for an event. After an error, GPUs must be registered anew."""
        if not self._ready.wait(timeout):
            return None
        with self._gate:
            if not self._ready.is_set():
                return None
            return self._next_event(round(timeout * 1000))

    def _next_event(self, milliseconds: int) -> Event | None:
        try:
            data = self._nvml.ask("nvmlEventSetWait", self._events, milliseconds)
        except DriverError as error:
            if error.code == TIMEOUT:
                return None
            self._drop_events()
            self._deaf = error.code in {NOT_SUPPORTED, FUNCTION_NOT_FOUND}
            raise
        return self._event(data)

    def _event(self, data: Any) -> Event:
        return Event(
            uuid=self._uuid(data.device),
            xid=data.eventData if data.eventType == _XID else None,
            instance=data.gpuInstanceId,
            compute_instance=data.computeInstanceId,
        )

    def _uuid(self, handle: Any) -> str:
        """Return whose handle it is: a GPU that has an event may answer nothing any more."""
        address = self._nvml.address(handle)
        for uuid, each in [*self._heard.items()]:
            if each == address:
                return uuid
        with suppress(DriverError):
            return str(self._nvml.ask("nvmlDeviceGetUUID", handle))
        return ""

    def _drop_events(self) -> None:
        with self._registering:
            self._ready.clear()
            events, self._events = self._events, None
            self._heard = {}
            if events is not None and not self._joining:  # else it is in use, and left
                with suppress(DriverError):
                    self._nvml.ask("nvmlEventSetFree", events)

    def _found(self, path: Path | None) -> tuple[Path | None, Identity | None, frozenset[str]]:
        """Return what tells a driver with its GPUs from another."""
        try:
            folders = (self._root.proc / "driver/nvidia/gpus").iterdir()
            gpus = frozenset(folder.name for folder in folders)
        except OSError:
            gpus = frozenset()
        return path, identity(path) if path else None, gpus
