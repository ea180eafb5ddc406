"""Registration by sockets that the kubelet finds: its plugin manager (R72 to R80)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc.aio

from nodeplug.kubelet.api import pluginregistration_v1_pb2 as api
from nodeplug.kubelet.api import pluginregistration_v1_pb2_grpc as api_grpc
from nodeplug.kubelet.target import target_of
from nodeplug.testing.kubelet.clients import Profile
from nodeplug.testing.kubelet.clock import Clock
from nodeplug.testing.kubelet.errors import Refusal
from nodeplug.testing.kubelet.naming import is_extended_resource
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
_ERROR = "RegisterPlugin error -- "


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

    def __init__(self, directory: Path, registry: Registry, clock: Clock, profile: Profile) -> None:
        self._watch = PluginWatch(directory)
        self._registry = registry
        self._clock = clock
        self._undoes = profile.since(Profile.V1_36)
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
                self._operate(path, partial(self._unregister, path, known))
        for path, number in list(wanted.items()):
            if path not in self._registered:
                self._operate(path, partial(self._register, path, number))

    def _operate(self, path: Path, operation: Callable[[], Awaitable[None]]) -> None:
        """Start an operation on a socket unless one runs or a failure was not long ago (R73)."""
        backoff = self._backoffs.get(path)
        if path in self._operations or (backoff and self._clock.now() < backoff.until):
            return
        task = asyncio.create_task(self._tried(path, operation))
        self._operations[path] = task
        task.add_done_callback(lambda _: self._operations.pop(path))

    async def _tried(self, path: Path, operation: Callable[[], Awaitable[None]]) -> None:
        try:
            await operation()
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
        target = target_of(path)
        async with grpc.aio.insecure_channel(target, options=options) as channel:
            async with self._clock.limit(_DIAL_SECONDS):
                await channel.channel_ready()
            stub = api_grpc.RegistrationStub(channel)
            seconds = _INFO_SECONDS / self._clock.scale
            info = await stub.GetInfo(api.InfoRequest(), timeout=seconds)
            endpoint = info.endpoint or str(path)
            if problem := _validate(info, path):
                await self._notify(stub, problem)
                raise Refusal(problem)
            self._registered[path] = known = _Registered(number, info.name, endpoint)
            try:
                await self._registry.connect_found(info.name, endpoint, path)
            except Refusal as refusal:
                self._undo(path)
                await self._notify(stub, f"{_ERROR}plugin registration failed with err: {refusal}")
                raise
            try:
                await self._notify(stub, "")
            except grpc.aio.AioRpcError:
                if self._undoes:
                    await self._unregister(path, known)
                raise

    def _undo(self, path: Path) -> None:
        # R73, R75: up to 1.35 what has failed is taken for done, and not tried again.
        if self._undoes:
            del self._registered[path]

    async def _notify(self, stub: "api_grpc.RegistrationAsyncStub", error: str) -> None:
        status = api.RegistrationStatus(plugin_registered=not error, error=error)
        seconds = _NOTIFY_SECONDS / self._clock.scale
        await stub.NotifyRegistrationStatus(status, timeout=seconds)


def _validate(info: api.PluginInfo, path: Path) -> str:
    if info.type != _TYPE:
        return f"{_ERROR}no handler registered for plugin type: {info.type} at socket {path}"
    failed = f"{_ERROR}plugin validation failed with err: "
    if _VERSION not in info.supported_versions:
        versions = " ".join(info.supported_versions)
        return (
            f"{failed}manager version, {_VERSION}, is not among plugin supported versions "
            f"[{versions}]"
        )
    if not is_extended_resource(info.name):
        return (
            f"{failed}invalid name of device plugin socket: "
            f'the ResourceName "{info.name}" is invalid'
        )
    return ""
