"""NVIDIA's management library, through pynvml: the one module that knows of it."""

import _ctypes
import ctypes
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from nodeplug_nvidia_gpu.driver import NO_LIBRARY, NONSENSE, DriverError
from nodeplug_nvidia_gpu.lean import NotLeanError, load
from nodeplug_nvidia_gpu.library import NAME, Identity, identity

# NVML: what this library, or this GPU, cannot tell.
_UNKNOWABLE: Final = frozenset({2, 3, 4, 6, 13, 25})
INVALID_ARGUMENT: Final = 2
NOT_SUPPORTED: Final = 3
NOT_FOUND: Final = 6
FUNCTION_NOT_FOUND: Final = 13
TIMEOUT: Final = 10
RESET_REQUIRED: Final = 16

_FUNCTIONS: Final = (
    *("nvmlInitWithFlags", "nvmlShutdown", "NVMLError"),
    *("nvmlSystemGetDriverVersion", "nvmlSystemGetCudaDriverVersion"),
    "nvmlSystemGetCudaDriverVersion_v2",
    *("nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID"),
    *("nvmlDeviceGetName", "nvmlDeviceGetMinorNumber", "nvmlDeviceGetPciInfo"),
    *("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetCudaComputeCapability"),
    *("nvmlDeviceGetGpuFabricInfo", "nvmlDeviceGetGpuFabricInfoV"),
    *("c_nvmlGpuFabricInfo_t", "c_nvmlGpuFabricInfo_v2_t"),
    *("nvmlDeviceGetMigMode", "nvmlDeviceGetMaxMigDeviceCount"),
    *("nvmlDeviceGetMigDeviceHandleByIndex", "nvmlDeviceGetAttributes"),
    *("nvmlDeviceGetGpuInstanceId", "nvmlDeviceGetComputeInstanceId"),
    *("nvmlDeviceGetTemperature", "nvmlDeviceGetPowerUsage", "nvmlDeviceGetUtilizationRates"),
    *("nvmlDeviceGetTotalEccErrors", "nvmlDeviceGetRemappedRows"),
    *("nvmlDeviceGetRetiredPagesPendingStatus", "nvmlDeviceGetFieldValues"),
    *("nvmlDeviceGetNvLinkState", "nvmlDeviceGetNvLinkRemoteDeviceType"),
    *("nvmlDeviceGetNvLinkRemotePciInfo", "nvmlDeviceGetVirtualizationMode"),
    *("nvmlEventSetCreate", "nvmlEventSetFree", "nvmlEventSetWait"),
    *("nvmlDeviceGetSupportedEventTypes", "nvmlDeviceRegisterEvents"),
)


class Nvml:
    """The library, from `open` to `close`. Calls may be made by several threads meanwhile."""

    def __init__(self) -> None:
        self._api: Any = None
        self._library: ctypes.CDLL | None = None

    def open(self, path: Path | None) -> None:
        """Load the library, from where the process's loader finds it if there is no path."""
        try:
            library = ctypes.CDLL(_spelling(path) if path else NAME)
        except OSError as error:
            text = str(error) if path else f"{NAME} is not installed"
            raise DriverError(text, NO_LIBRARY) from error
        self._api = self._api or _pynvml()
        self._library = library
        # pynvml would open the bare name, which may lead elsewhere than the path.
        self._use(self._library)
        try:
            self.ask("nvmlInitWithFlags", 0)
        except DriverError:
            self._unload()
            raise

    def close(self) -> None:
        """Shut the library down and unload it; no call may be under way."""
        with suppress(DriverError):
            self.ask("nvmlShutdown")
        self._unload()

    def ask(self, function: str, *arguments: object) -> Any:
        """Call a function; any failure is a DriverError."""
        try:
            return getattr(self._api, function)(*arguments)
        except self._api.NVMLError as error:
            code = int(error.value)
            raise DriverError(self._explain(error, code), code) from None
        except AttributeError:
            raise DriverError(f"no function {function}", FUNCTION_NOT_FOUND) from None
        except (UnicodeDecodeError, ValueError, ctypes.ArgumentError) as error:
            raise DriverError(f"{function} answers nonsense: {error!r}", NONSENSE) from None

    def try_(self, default: Any, function: str, *arguments: object) -> Any:
        """Call a function; return the default where library or GPU cannot tell."""
        try:
            return self.ask(function, *arguments)
        except DriverError as error:
            if error.code in _UNKNOWABLE or error.code == NONSENSE:
                return default
            raise

    def optional(self, default: Any, function: str, *arguments: object) -> Any:
        """Call a function whose answer nobody needs; raise only if GPU or driver are gone."""
        try:
            return self.ask(function, *arguments)
        except DriverError as error:
            if error.of_gone:
                raise
            return default

    def new(self, structure: str) -> Any:
        """Return an empty structure; raise DriverError for one that pynvml does not know."""
        return self.ask(structure)

    def reference(self, structure: Any) -> Any:
        """Return what a function takes that fills a structure."""
        return ctypes.byref(structure)

    def address(self, handle: Any) -> int:
        """Return what is the same in all handles of one GPU; 0 where there is none."""
        return ctypes.cast(handle, ctypes.c_void_p).value or 0

    def _explain(self, error: Exception, code: int) -> str:
        try:
            text = str(error)
        except Exception:  # noqa: BLE001 - asks the library itself, which may be gone
            text = ""
        return text if text.isprintable() and text else f"NVML error {code}"

    def _unload(self) -> None:
        library, self._library = self._library, None
        self._use(None)
        if library is not None:
            _ctypes.dlclose(library._handle)  # noqa: SLF001 - nothing else unloads

    def _use(self, library: ctypes.CDLL | None) -> None:
        self._api.nvmlLib = library
        self._api._nvmlGetFunctionPointer_cache.clear()  # noqa: SLF001 - of another library


# Which files have been loaded from a path, one after the other.
_LOADED: Final[dict[Path, list[Identity | None]]] = {}


def _spelling(path: Path) -> str:
    """Return a path so that dlopen(3) finds the file that is there now.

    A library may refuse to be unloaded. dlopen returns it for the path that it once had, whatever
    file is there; with more slashes it is another path.
    """
    files, now = _LOADED.setdefault(path, []), identity(path)
    if now not in files:
        files.append(now)
    return "/" * files.index(now) + str(path)


def _pynvml() -> ModuleType:
    try:
        return load("pynvml", _FUNCTIONS, r"NVML_ERROR_\w+|NVML_SUCCESS")
    except NotLeanError:
        import pynvml  # noqa: PLC0415 - see nodeplug_nvidia_gpu.lean

        module: ModuleType = pynvml
        return module
