"""Keeping out of the agent's memory what it does not use."""

import ctypes
import gc
import importlib
import sys
import types
import typing
from typing import Any

# malloc.h of glibc; other C libraries have no such function.
_M_ARENA_MAX = -8


def slim() -> None:
    """Prepare the process for the agent; to be called before asyncio and gRPC are imported."""
    _leave_out_ssl()
    _put_off_typing_extensions()
    _put_off_protobuf_in_python()
    _put_off_archives()
    _share_one_heap()


def settle() -> None:
    """Free what the start needed: 0.2 MiB; what is left stays, and is not looked at again."""
    gc.collect()
    gc.freeze()


def _leave_out_ssl() -> None:
    """Keep asyncio from loading OpenSSL: 4 MiB in a daemon that speaks over Unix sockets only."""
    if "asyncio" not in sys.modules:
        sys.modules["ssl"] = None  # type: ignore[assignment]


def _put_off_typing_extensions() -> None:
    """Load it only for what `typing` does not have: 0.3 MiB for names that it has."""
    sys.modules.setdefault("typing_extensions", _Later("typing_extensions", typing))


def _put_off_protobuf_in_python() -> None:
    """Load it only where protobuf has no compiled form: 1 MiB that is imported and not used."""
    name = "google.protobuf.internal.python_message"
    sys.modules.setdefault(name, _Later(name))


def _put_off_archives() -> None:
    """Load them only for a search of libraries by gcc: 0.6 MiB where `ctypes.util` has ldconfig."""
    for name in ("shutil", "tempfile"):
        sys.modules.setdefault(name, _Later(name))


def _share_one_heap() -> None:
    """Keep glibc from a heap per thread: 0.2 MiB, where one thread does nearly all the work."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_ARENA_MAX, 1)


class _Later(types.ModuleType):
    """A module that is loaded by the first name that is asked of it and `instead` lacks."""

    def __init__(self, name: str, instead: types.ModuleType | None = None) -> None:
        super().__init__(name)
        self._instead = instead

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system asks whether this is a package
            raise AttributeError(name)
        if hasattr(self._instead, name):
            return getattr(self._instead, name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)
