"""What is asked of a driver, whether true or simulated."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from nodeplug_nvidia_gpu.facts import Ends, Event, Gpu, Pulse, Readings, Versions

# NVML's error codes, as far as they matter to who asks (nvmlReturn_t).
UNINITIALIZED: Final = 1
NO_PERMISSION: Final = 4
DRIVER_NOT_LOADED: Final = 9
GPU_IS_LOST: Final = 15
VERSION_MISMATCH: Final = 18
# Not NVML's: there is no library, or no answer that makes sense.
NO_LIBRARY: Final = -1
NONSENSE: Final = -2
NO_ANSWER: Final = -3


class DriverError(Exception):
    """The driver refused or failed; the text is one line."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code

    @property
    def of_driver(self) -> bool:
        """Whether no GPU can be asked until the driver is opened again."""
        return self.code in {UNINITIALIZED, DRIVER_NOT_LOADED, VERSION_MISMATCH, NO_LIBRARY}

    @property
    def of_gone(self) -> bool:
        """Whether that is so, or of one GPU: then nothing is worth another question."""
        return self.code == GPU_IS_LOST or self.of_driver


class Driver(Protocol):
    """A driver. Every method may block, and may raise DriverError.

    One thread opens and closes, another waits for events. What takes one GPU is called on threads
    that are left behind where it hangs; `close` is not called then.
    """

    def watched(self) -> Mapping[Path, frozenset[str] | None]:
        """Return directories, and names in them, whose change asks for a look."""
        ...

    def open(self) -> None:
        """Get in touch; after `close`, anew."""
        ...

    def close(self) -> None:
        """Let go, so that the driver can be unloaded or replaced."""
        ...

    def outdated(self) -> bool:
        """Return whether the driver must be opened anew to see what is there now."""
        ...

    def versions(self) -> Versions:
        """Return what the driver calls itself."""
        ...

    def count(self) -> int:
        """Return how many GPUs there are."""
        ...

    def pulse(self, index: int) -> Pulse:
        """Return what is looked at often; quick."""
        ...

    def gpu(self, index: int) -> Gpu:
        """Return all facts of a GPU."""
        ...

    def ends(self, gpu: Gpu) -> Ends:
        """Return where the links of a GPU end."""
        ...

    def unheard(self, gpus: Sequence[Gpu]) -> Sequence[Gpu]:
        """Return those of these GPUs whose events are not told; of others, none will be."""
        ...

    def listen(self, gpu: Gpu) -> None:
        """Have the driver tell of events of this GPU too."""
        ...

    def event(self, timeout: float) -> Event | None:
        """Return the next event, or None after this many seconds."""
        ...

    def measure(self, gpu: Gpu) -> Mapping[str, Readings]:
        """Return what can be measured, by UUID of the GPU and of its slices."""
        ...
