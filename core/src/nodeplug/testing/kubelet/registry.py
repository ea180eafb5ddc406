"""The Registration service, and the connections that come of it."""

import asyncio
import enum
import posixpath
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.testing.kubelet.clock import Clock
from nodeplug.testing.kubelet.devices import DeviceTables
from nodeplug.testing.kubelet.endpoint import Endpoint
from nodeplug.testing.kubelet.journal import Journal
from nodeplug.testing.kubelet.naming import is_extended_resource

_VERSION = "v1beta1"
Context = grpc.aio.ServicerContext[Any, Any]


class Profile(enum.Enum):
    """Which kubelets to be like.

    `V1_36` and all before keep one client per resource: the end of an old stream takes the new
    registration with it (R15), and a failed one hides the old plugin's death (R16). `V1_37` and
    later tell clients apart by their socket.
    """

    V1_36 = "<=1.36"
    V1_37 = ">=1.37"


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    """Why a registration is not accepted."""


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
        self._profile = profile
        self._clock = clock
        self._tables = tables
        self._journal = journal
        self._clients: dict[str, Endpoint] = {}
        self._runs: dict[Endpoint, asyncio.Task[None]] = {}
        self.on_change = journal.wake

    async def Register(  # noqa: N802 - the method's name in the API
        self, request: api.RegisterRequest, context: Context
    ) -> api.Empty:
        """Answer a registration; every refusal has the code Unknown (R13)."""
        problem = ""
        try:
            await self._register(request, context.time_remaining())
        except Refusal as refusal:
            problem = str(refusal)
        self._journal.note("register", request.resource_name, problem, request=request)
        if problem:
            await context.abort(grpc.StatusCode.UNKNOWN, problem)
        return api.Empty()

    async def close(self) -> None:
        """Break all connections, as the death of the process does."""
        runs = list(self._runs.values())
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)
        for endpoint in [*self._runs, *self._clients.values()]:
            await endpoint.close()

    async def drop(self, resource: str) -> None:
        """Break the streams of a resource, as a fault of the connection would."""
        for endpoint in [e for e in self._runs if e.resource == resource]:
            await endpoint.close()

    async def _register(self, request: api.RegisterRequest, seconds: float | None) -> None:
        name = request.resource_name
        if request.version != _VERSION:
            raise Refusal(
                f'requested API version "{request.version}" is not supported by kubelet. '
                f'Supported version is "{_VERSION}"'
            )
        if not is_extended_resource(name):
            raise Refusal(
                f'the ResourceName "{name}" is invalid; an extended resource name is needed'
            )
        endpoint = Endpoint(name, self._join(request.endpoint))
        self._clients[name] = endpoint
        try:
            await self._connect(endpoint, seconds)
        except Refusal:
            # R16: the entry goes, the old plugin's endpoint and stream stay.
            if self._profile is Profile.V1_36 or self._clients.get(name) is endpoint:
                self._clients.pop(name, None)
            await endpoint.close()
            raise
        self._tables.endpoints[name] = endpoint
        self._runs[endpoint] = asyncio.create_task(self._run(endpoint))

    async def _connect(self, endpoint: Endpoint, seconds: float | None) -> None:
        started = self._clock.now()
        try:
            await endpoint.dial(self._clock)
        except ConnectionError as error:
            raise Refusal(f"failed to dial device plugin: {error}") from error
        spent = (self._clock.now() - started) / self._clock.scale
        try:
            await endpoint.read_options(None if seconds is None else max(0.0, seconds - spent))
        except grpc.aio.AioRpcError as error:
            raise Refusal(f"failed to get device plugin options: {error.details()}") from error

    async def _run(self, endpoint: Endpoint) -> None:
        cause = await endpoint.run(lambda devices, size: self._listed(endpoint, devices, size))
        self._runs.pop(endpoint, None)
        self._journal.note("stream end", endpoint.resource, cause)
        doomed = endpoint
        if self._profile is Profile.V1_36:
            client = self._clients.get(endpoint.resource)
            if client is None:
                await endpoint.close()
                return
            doomed = client
        await self._disconnect(doomed)

    async def _disconnect(self, endpoint: Endpoint) -> None:
        if self._clients.get(endpoint.resource) is endpoint:
            del self._clients[endpoint.resource]
        current = self._tables.endpoints.get(endpoint.resource)
        if current is not None and (self._profile is Profile.V1_36 or current is endpoint):
            self._tables.mark_unhealthy(endpoint.resource)
            current.stopped_at = self._clock.now()
        self.on_change()
        await endpoint.close()

    def _listed(self, endpoint: Endpoint, devices: Any, size: int) -> None:
        self._tables.update(endpoint.resource, devices)
        self._journal.note("list", endpoint.resource, count=len(devices), size=size)
        self.on_change()

    def _join(self, endpoint: str) -> str:
        # R13: like Go's filepath.Join, a leading "/" is relative and ".." is resolved.
        return posixpath.normpath(f"{self._directory}/{endpoint}")
