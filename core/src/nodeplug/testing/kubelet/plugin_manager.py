"""Registration by sockets that the kubelet finds: its plugin manager (R72 to R80)."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc.aio

from nodeplug.kubelet.api import pluginregistration_v1_pb2 as api
from nodeplug.kubelet.api import pluginregistration_v1_pb2_grpc as api_grpc
from nodeplug.testing.kubelet.clock import Clock
from nodeplug.testing.kubelet.errors import Refusal
from nodeplug.testing.kubelet.plugin_watch import PluginWatch
from nodeplug.testing.kubelet.registry import Registry

# R73: how often what is there is compared with what is registered, and pauses after failures.
RECONCILE_SECONDS = 1.0
_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 122.0
# R74.
_DIAL_SECONDS = 10.0
_INFO_SECONDS = 1.0
_NOTIFY_SECONDS = 5.0
_TYPE = "DevicePlugin"
_VERSION = "v1beta1"


@dataclass(frozen=True, slots=True)
class _Registered:
    """A socket that was registered: which appearance of it, for which resource and endpoint."""

    number: int
    resource: str
    endpoint: str


@dataclass(slots=True)
class _Backoff:
    seconds: float
    until: float


class PluginManager:
    """Registers what appears in a directory and drops what goes, until stopped."""

    def __init__(self, directory: Path, registry: Registry, clock: Clock) -> None:
        self._watch = PluginWatch(directory)
        self._registry = registry
        self._clock = clock
        self._registered: dict[Path, _Registered] = {}
        self._operations: dict[Path, asyncio.Task[None]] = {}
        self._backoffs: dict[Path, _Backoff] = {}
        self._reconciling: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take in what is there, and go on watching."""
        self._watch.start()
        self._reconciling = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Leave everything as it is."""
        self._watch.stop()
        tasks = [*self._operations.values(), *filter(None, [self._reconciling])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._reconcile()
            await self._clock.sleep(RECONCILE_SECONDS)

    def _reconcile(self) -> None:
        wanted = self._watch.sockets
        for path, known in list(self._registered.items()):
            if wanted.get(path) != known.number:
                self._operate(path, self._unregister(path, known))
        for path, number in list(wanted.items()):
            if path not in self._registered:
                self._operate(path, self._register(path, number))

    def _operate(self, path: Path, operation: Coroutine[Any, Any, None]) -> None:
        """Start an operation on a socket unless one runs or a failure was not long ago (R73)."""
        backoff = self._backoffs.get(path)
        if path in self._operations or (backoff and self._clock.now() < backoff.until):
            operation.close()
            return
        task = asyncio.create_task(self._tried(path, operation))
        self._operations[path] = task
        task.add_done_callback(lambda _: self._operations.pop(path))

    async def _tried(self, path: Path, operation: Coroutine[Any, Any, None]) -> None:
        try:
            await operation
        except (Refusal, TimeoutError, grpc.aio.AioRpcError):
            last = self._backoffs.get(path)
            seconds = min(2 * last.seconds, _LONGEST_BACKOFF) if last else _FIRST_BACKOFF
            self._backoffs[path] = _Backoff(seconds, self._clock.now() + seconds)
        else:
            self._backoffs.pop(path, None)

    async def _unregister(self, path: Path, known: _Registered) -> None:
        del self._registered[path]
        await self._registry.deregister(known.resource, known.endpoint)

    async def _register(self, path: Path, number: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        target = f"unix:{quote(str(path))}"
        async with grpc.aio.insecure_channel(target, options=options) as channel:
            async with self._clock.limit(_DIAL_SECONDS):
                await channel.channel_ready()
            stub = api_grpc.RegistrationStub(channel)
            seconds = _INFO_SECONDS / self._clock.scale
            info = await stub.GetInfo(api.InfoRequest(), timeout=seconds)
            endpoint = info.endpoint or str(path)
            try:
                _check(info)
                await self._registry.connect_found(info.name, endpoint, path)
            except Refusal as refusal:
                await self._notify(stub, str(refusal))
                raise
            self._registered[path] = _Registered(number, info.name, endpoint)
            try:
                await self._notify(stub, "")
            except grpc.aio.AioRpcError:
                # R75: a plugin that cannot be told is not registered.
                await self._unregister(path, self._registered[path])
                raise

    async def _notify(self, stub: "api_grpc.RegistrationAsyncStub", error: str) -> None:
        status = api.RegistrationStatus(plugin_registered=not error, error=error)
        seconds = _NOTIFY_SECONDS / self._clock.scale
        await stub.NotifyRegistrationStatus(status, timeout=seconds)


def _check(info: api.PluginInfo) -> None:
    if info.type != _TYPE:
        raise Refusal(f"no handler registered for plugin type: {info.type}")
    if _VERSION not in info.supported_versions:
        raise Refusal(
            f"none of the versions {list(info.supported_versions)} is supported; "
            f'the supported version is "{_VERSION}"'
        )
