"""The Registration service, and the connections that come of it."""

import asyncio
import posixpath
from collections.abc import Collection
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.testing.kubelet.clients import Clients, Profile
from nodeplug.testing.kubelet.clock import Clock
from nodeplug.testing.kubelet.devices import DeviceTables
from nodeplug.testing.kubelet.endpoint import CallError, Endpoint
from nodeplug.testing.kubelet.errors import Refusal
from nodeplug.testing.kubelet.journal import Journal
from nodeplug.testing.kubelet.naming import is_extended_resource

_VERSION = "v1beta1"
Context = grpc.aio.ServicerContext[Any, Any]


class Registry:
    """Accepts registrations and reads the plugins' lists, until closed."""

    def __init__(
        self,
        directory: Path,
        profile: Profile,
        clock: Clock,
        tables: DeviceTables,
        journal: Journal,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._tables = tables
        self._journal = journal
        self._clients = Clients(profile, tables)
        self._ends_with_caller = profile.since(Profile.V1_35)
        self._attempts: set[asyncio.Task[str]] = set()
        self._runs: dict[Endpoint, asyncio.Task[None]] = {}
        self._connections: list[Endpoint] = []
        self.on_change = journal.wake
        self.refusals: list[str] = []

    @property
    def busy(self) -> bool:
        """Whether a registration is being dealt with."""
        return bool(self._attempts)

    async def Register(  # noqa: N802 - the method's name in the API
        self, request: api.RegisterRequest, context: Context
    ) -> api.Empty:
        """Answer a registration; every refusal has the code Unknown (R13).

        Since 1.35 the attempt ends with the call; before, a caller who gives up ends the wait for
        the answer only.
        """
        seconds = context.time_remaining() if self._ends_with_caller else None
        until = None if seconds is None else _now() + seconds
        attempt = asyncio.create_task(self._attempt(request, until))
        self._attempts.add(attempt)
        attempt.add_done_callback(self._attempts.discard)
        try:
            problem = await asyncio.shield(attempt)
        except asyncio.CancelledError:
            # At its deadline the attempt ends by itself.
            if self._ends_with_caller and (until is None or _now() < until):
                attempt.cancel()
            raise
        if problem:
            await context.abort(grpc.StatusCode.UNKNOWN, problem)
        return api.Empty()

    async def connect_found(self, resource: str, path: str, found: Path) -> None:
        """Connect to a plugin that did not call but was found (R76); raise Refusal."""
        request = api.RegisterRequest(version=_VERSION, endpoint=path, resource_name=resource)
        problem = ""
        try:
            endpoint = await self._connected(Endpoint(resource, path), None)
            request.options.CopyFrom(endpoint.options)
        except Refusal as refusal:
            problem = str(refusal)
            raise
        finally:
            self._journal.note("register", resource, problem, request=request, found=str(found))

    async def deregister(self, resource: str, path: str) -> None:
        """Drop a plugin whose socket has gone, or up to 1.36 whichever has its name (R77)."""
        client = self._clients.find(Endpoint(resource, path))
        if client is not None:
            self._disconnect(client)
            await client.close()

    async def close(self) -> None:
        """Break all connections, as the death of the process does."""
        tasks = [*self._attempts, *self._runs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for endpoint in self._connections:
            await endpoint.close()

    async def drop(self, resource: str) -> None:
        """Break the streams of a resource, as a fault of the connection would."""
        for endpoint in [e for e in self._runs if e.resource == resource]:
            await endpoint.close()

    async def _attempt(self, request: api.RegisterRequest, until: float | None) -> str:
        problem = ""
        try:
            await self._register(request, until)
        except Refusal as refusal:
            problem = str(refusal)
        except asyncio.CancelledError:
            problem = "context canceled"
            raise
        finally:
            self._journal.note("register", request.resource_name, problem, request=request)
        return problem

    async def _register(self, request: api.RegisterRequest, until: float | None) -> None:
        _check(request)
        await self._connected(Endpoint(request.resource_name, self._join(request.endpoint)), until)

    async def _connected(self, endpoint: Endpoint, until: float | None) -> Endpoint:
        if self.refusals:
            raise Refusal(self.refusals.pop(0))
        self._clients.add(endpoint)
        self._connections.append(endpoint)
        try:
            await self._connect(endpoint, until)
            self._clients.connected(endpoint)
        except (Refusal, asyncio.CancelledError):
            # R16: whoever cannot be told from this one is dropped too, but its stream goes on.
            self._clients.remove(endpoint)
            raise
        self._runs[endpoint] = asyncio.create_task(self._run(endpoint))
        return endpoint

    async def _connect(self, endpoint: Endpoint, until: float | None) -> None:
        try:
            await endpoint.dial(self._clock, until)
        except CallError as error:
            raise Refusal(f"failed to dial device plugin: {error}") from error
        try:
            await endpoint.read_options(None if until is None else max(0.0, until - _now()))
        except CallError as error:
            raise Refusal(f"failed to get device plugin options: {error}") from error

    async def _run(self, endpoint: Endpoint) -> None:
        cause = await endpoint.run(lambda devices, size: self._listed(endpoint, devices, size))
        del self._runs[endpoint]
        # R15: up to 1.36 this may well be another plugin's connection.
        client = self._clients.find(endpoint)
        if client is not None:
            self._disconnect(client)
        self._journal.note("stream end", endpoint.resource, cause)
        if client is not None:
            await client.close()

    def _disconnect(self, client: Endpoint) -> None:
        self._clients.disconnected(client, self._clock.now())
        self._journal.note("disconnect", client.resource)

    def _listed(self, endpoint: Endpoint, devices: Collection[api.Device], size: int) -> None:
        self._tables.update(endpoint.resource, devices)
        self._journal.note("list", endpoint.resource, count=len(devices), size=size)
        self.on_change()

    def _join(self, endpoint: str) -> str:
        # R13: like Go's filepath.Join, a leading "/" is relative and ".." is resolved.
        return posixpath.normpath(f"{self._directory}/{endpoint}")


def _now() -> float:
    return asyncio.get_running_loop().time()


def _check(request: api.RegisterRequest) -> None:
    if request.version != _VERSION:
        raise Refusal(
            f'requested API version "{request.version}" is not supported by kubelet. '
            f'Supported version is ["{_VERSION}"]'
        )
    if not is_extended_resource(request.resource_name):
        raise Refusal(f'the ResourceName "{request.resource_name}" is invalid')
