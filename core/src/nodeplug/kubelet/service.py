"""The DevicePlugin service of one resource."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio

from nodeplug.allocation import Allocator
from nodeplug.host.lane import Lane
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.translate import to_container_response
from nodeplug.meters.catalogue import (
    ALLOCATE_SECONDS,
    ALLOCATIONS,
    PREFER_SECONDS,
    REFUSALS,
    SEND_SECONDS,
)
from nodeplug.pool import ResourcePool, Snapshot
from nodeplug.values.errors import (
    AllocationRefusedError,
    UnfitRequestError,
    UnhealthyDeviceError,
    UnknownDeviceError,
)

# R26: the kubelet writes its checkpoint at every list; the gap stays within the 50 ms in which a
# change must have arrived.
LIST_GAP_SECONDS = 0.025

# R51: what gRPC receives where nobody says otherwise, and the kubelet does not.
_ANSWER_LIMIT = 4 * 1024 * 1024

# Of so many devices so few are preferred within 20 ms: what is more leaves the event loop.
_SHORT, _FEW = 512, 64
# R43: while the kubelet waits it admits no other pod.
_PREFER_SECONDS = 5.0

_CODES: dict[type[Exception], grpc.StatusCode] = {
    UnknownDeviceError: grpc.StatusCode.NOT_FOUND,
    UnhealthyDeviceError: grpc.StatusCode.FAILED_PRECONDITION,
    AllocationRefusedError: grpc.StatusCode.FAILED_PRECONDITION,
    TimeoutError: grpc.StatusCode.DEADLINE_EXCEEDED,
}

_log = logging.getLogger("nodeplug.kubelet")

Context = grpc.aio.ServicerContext[Any, Any]


class DevicePluginService:
    """Answers the kubelet for one resource.

    `streams` counts the open ListAndWatch streams; `wakers` are set whenever it changes.
    """

    def __init__(self, pool: ResourcePool, allocator: Allocator) -> None:
        self.streams = 0
        self.wakers: set[asyncio.Event] = set()
        self._pool = pool
        self._allocator = allocator
        self._lane = Lane()
        self._end = asyncio.Event()

    @property
    def resource(self) -> str:
        """The public name of what is served."""
        return self._pool.resource

    def options(self) -> api.DevicePluginOptions:
        """Return what the kubelet should call, for both places that tell it (R17)."""
        return api.DevicePluginOptions(
            pre_start_required=self._allocator.prepares,
            get_preferred_allocation_available=self._allocator.prefers,
        )

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return the service as gRPC wants it. Lists are sent as the bytes the pool holds."""
        unary = grpc.unary_unary_rpc_method_handler
        table: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "GetDevicePluginOptions": unary(
                self._get_options, api.Empty.FromString, api.DevicePluginOptions.SerializeToString
            ),
            "ListAndWatch": grpc.unary_stream_rpc_method_handler(
                self._list_and_watch, api.Empty.FromString
            ),
            "GetPreferredAllocation": unary(
                self._prefer,
                api.PreferredAllocationRequest.FromString,
                api.PreferredAllocationResponse.SerializeToString,
            ),
            "Allocate": unary(
                _guarded(self._allocate),
                api.AllocateRequest.FromString,
                api.AllocateResponse.SerializeToString,
            ),
            "PreStartContainer": unary(
                _guarded(self._prepare),
                api.PreStartContainerRequest.FromString,
                api.PreStartContainerResponse.SerializeToString,
            ),
        }
        return grpc.method_handlers_generic_handler("v1beta1.DevicePlugin", table)

    async def _get_options(self, _: api.Empty, __: Context) -> api.DevicePluginOptions:
        return self.options()

    async def _list_and_watch(self, _: api.Empty, __: Context) -> AsyncIterator[bytes]:
        self._count(1)
        version, end = 0, self._end
        try:
            while (snapshot := await self._newer_than(version, end)) is not None:
                if version:  # what a stream begins with has not waited for it
                    SEND_SECONDS.observe(time.monotonic() - snapshot.since, self._pool.resource)
                version = snapshot.version
                yield snapshot.payload
                await asyncio.sleep(LIST_GAP_SECONDS)
        finally:
            # R116: the end of a stream shows here, not always as a CancelledError.
            self._count(-1)

    def end_streams(self) -> None:
        """End all streams that are open now, as if there were nothing more to tell."""
        self._end.set()
        self._end = asyncio.Event()

    async def _newer_than(self, version: int, end: asyncio.Event) -> Snapshot | None:
        news = asyncio.ensure_future(self._pool.newer_than(version))
        ended = asyncio.ensure_future(end.wait())
        try:
            await asyncio.wait({news, ended}, return_when=asyncio.FIRST_COMPLETED)
            return None if end.is_set() else news.result()
        finally:
            news.cancel()
            ended.cancel()

    def _count(self, difference: int) -> None:
        self.streams += difference
        for waker in self.wakers:
            waker.set()

    async def _prefer(
        self, request: api.PreferredAllocationRequest, _: Context
    ) -> api.PreferredAllocationResponse:
        with PREFER_SECONDS.timed(self._pool.resource):
            answers = [await self._preferred(each) for each in request.container_requests]
        return api.PreferredAllocationResponse(
            container_responses=[
                api.ContainerPreferredAllocationResponse(deviceIDs=ids) for ids in answers
            ]
        )

    async def _preferred(self, wanted: api.ContainerPreferredAllocationRequest) -> list[str]:
        """Return a preference; where that fails none, and the kubelet chooses (R50)."""
        available, must = [*wanted.available_deviceIDs], [*wanted.must_include_deviceIDs]
        prefer, size = self._allocator.prefer, wanted.allocation_size
        try:
            if len(available) <= _SHORT and size <= _FEW:
                return prefer(available, must, size)
            return await self._lane.call(prefer, available, must, size, timeout=_PREFER_SECONDS)
        except Exception as error:  # noqa: BLE001 - an error would fail the pod
            facts = {"resource": self._pool.resource, "error": repr(error)}
            _log.warning("no preference", extra={"nodeplug": facts})
            return []

    async def _allocate(self, request: api.AllocateRequest) -> api.AllocateResponse:
        resource, started = self._pool.resource, time.monotonic()
        try:
            edits = [
                await self._allocator.allocate(r.devices_ids) for r in request.container_requests
            ]
            response = api.AllocateResponse(container_responses=map(to_container_response, edits))
            _check_size(response)
        except Exception as error:
            REFUSALS.add(resource, _status_code(error).name)
            raise
        finally:
            ALLOCATE_SECONDS.observe(time.monotonic() - started, resource)
        ALLOCATIONS.add(resource, amount=len(edits))
        return response

    async def _prepare(
        self, request: api.PreStartContainerRequest
    ) -> api.PreStartContainerResponse:
        await self._allocator.prepare(request.devices_ids)
        return api.PreStartContainerResponse()


def _check_size(response: api.AllocateResponse) -> None:
    if (size := response.ByteSize()) > _ANSWER_LIMIT:
        raise UnfitRequestError(
            f"the answer takes {size} bytes, a kubelet receives {_ANSWER_LIMIT}: ask for less"
        )


_Request = TypeVar("_Request")
_Reply = TypeVar("_Reply")


def _guarded(
    method: Callable[[_Request], Awaitable[_Reply]],
) -> Callable[[_Request, Context], Awaitable[_Reply]]:
    async def call(request: _Request, context: Context) -> _Reply:
        try:
            return await method(request)
        except Exception as error:  # noqa: BLE001 - answered with its code
            _log.warning("request refused", extra={"nodeplug": {"error": repr(error)}})
            await context.abort(_status_code(error), str(error) or type(error).__name__)

    return call


def _status_code(error: Exception) -> grpc.StatusCode:
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return code
    return grpc.StatusCode.INTERNAL
