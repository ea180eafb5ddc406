"""What is asked of NVML at every look: few calls, none of them slow."""

from collections.abc import Collection
from typing import Any, Final

from nodeplug_nvidia_gpu.driver import DriverError
from nodeplug_nvidia_gpu.facts import Pulse
from nodeplug_nvidia_gpu.nvml import FUNCTION_NOT_FOUND, NOT_SUPPORTED, RESET_REQUIRED, Nvml
from nodeplug_nvidia_gpu.nvml_facts import mig_mode, slice_handles

# NVML: NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC, NVML_TEMPERATURE_GPU,
# NVML_FI_DEV_GET_GPU_RECOVERY_ACTION.
_UNCORRECTED: Final = 1
_VOLATILE: Final = 0
_OF_GPU: Final = 0
_RECOVERY_ACTION: Final = 230
# What any GPU that lives can say.
_ALIVE: Final = ("nvmlDeviceGetPciInfo", "nvmlDeviceGetMemoryInfo")
# NVML: nvmlDeviceGpuRecoveryAction_t.
_ACTIONS: Final = {
    1: "the driver asks for a reset of the GPU",
    2: "the driver asks for a restart of the node",
    3: "the driver asks to end peer-to-peer traffic",
    4: "the driver asks to drain and reset the GPU",
}


class Pulses:
    """Takes pulses; does not ask a GPU again for what it does not support."""

    def __init__(self, nvml: Nvml) -> None:
        self._nvml = nvml
        self._unsupported: set[tuple[str, str]] = set()

    def begin(self) -> None:
        """Forget what another library or GPU did not support."""
        self._unsupported.clear()

    def take(self, index: int) -> Pulse:
        """Return the pulse of a GPU; raise DriverError where it does not answer."""
        handle = self._nvml.ask("nvmlDeviceGetHandleByIndex", index)
        uuid = str(self._nvml.ask("nvmlDeviceGetUUID", handle))
        conditions: dict[str, str] = {}
        uncorrectable = shape = None
        try:
            self._touch(handle)
            conditions |= self._remapping(uuid, handle) | self._recovery(uuid, handle)
            uncorrectable = self._optional(
                uuid, "nvmlDeviceGetTotalEccErrors", handle, _UNCORRECTED, _VOLATILE
            )
            shape = self._shape(uuid, handle)
        except DriverError as error:
            if error.code != RESET_REQUIRED:
                raise
            conditions["recovery"] = _ACTIONS[1]
        return Pulse(
            uuid=uuid,
            mig=shape[0] if shape else None,
            slices=tuple(shape[1]) if shape else None,
            conditions=conditions,
            uncorrectable=uncorrectable,
        )

    def _shape(self, uuid: str, handle: Any) -> tuple[bool | None, Collection[str]] | None:
        """Return whether it is given as slices, and as which; None where it cannot tell now."""
        if (uuid, "shape") in self._unsupported:
            return None, ()
        try:
            sliced = mig_mode(self._nvml, handle)
            found = slice_handles(self._nvml, handle) if sliced else ()
        except DriverError as error:
            if error.of_gone or error.code == RESET_REQUIRED:
                raise
            return None
        if sliced is None:
            self._unsupported.add((uuid, "shape"))
        return sliced, found

    def _touch(self, handle: Any) -> None:
        """Ask what needs the GPU itself: to live it must say one thing that any GPU can say.

        Its temperature tells of a GPU that is lost, and any other failure of it tells nothing.
        """
        failures = [error for function in _ALIVE if (error := self._failure(function, handle))]
        self._failure("nvmlDeviceGetTemperature", handle, _OF_GPU)
        if len(failures) == len(_ALIVE):
            raise failures[-1]

    def _failure(self, function: str, *arguments: object) -> DriverError | None:
        try:
            self._nvml.try_(None, function, *arguments)
        except DriverError as error:
            if error.of_gone or error.code == RESET_REQUIRED:
                raise
            return error
        return None

    def _remapping(self, uuid: str, handle: Any) -> dict[str, str]:
        rows = self._optional(uuid, "nvmlDeviceGetRemappedRows", handle)
        if rows is not None:
            if rows[3]:
                return {"remap": "a memory row could not be remapped"}
            return {"remap": "remapped memory rows wait for a reset"} if rows[2] else {}
        pending = self._optional(uuid, "nvmlDeviceGetRetiredPagesPendingStatus", handle)
        return {"remap": "retired memory pages wait for a reset"} if pending else {}

    def _recovery(self, uuid: str, handle: Any) -> dict[str, str]:
        values = self._optional(uuid, "nvmlDeviceGetFieldValues", handle, (_RECOVERY_ACTION,))
        if not values or values[0].nvmlReturn:
            return {}
        action = values[0].value.uiVal
        return {"recovery": _ACTIONS.get(action, _ACTIONS[1])} if action else {}

    def _optional(self, uuid: str, function: str, *arguments: object) -> Any:
        """Ask for what not every GPU can tell; return None where this one cannot."""
        if (uuid, function) in self._unsupported:
            return None
        try:
            return self._nvml.ask(function, *arguments)
        except DriverError as error:
            if error.of_gone or error.code == RESET_REQUIRED:
                raise
            if error.code in {NOT_SUPPORTED, FUNCTION_NOT_FOUND}:
                self._unsupported.add((uuid, function))
            return None
