"""The kubelet's connection to one registered plugin."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import grpc.aio

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug.kubelet.target import target_of
from nodeplug.testing.kubelet.clock import Clock

# R12: how long the kubelet dials a plugin that has registered.
DIAL_SECONDS = 10.0
# R13: the bytes that fit in sun_path beside its closing zero.
PATH_LIMIT = 107
# R20, R22: one connection, this authority, gRPC's own limit on what is received.
_OPTIONS = (
    ("grpc.default_authority", "localhost"),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
)
_T = TypeVar("_T")


class CallError(Exception):
    """A call to a plugin failed; the text is what the kubelet makes of it."""


class StoppedError(CallError):
    """A call to an endpoint whose stream has ended (R28)."""


@dataclass(eq=False, slots=True)
class Endpoint:
    """One registration: socket, connection, options, and when its stream ended.

    The options are empty for one that only the checkpoint knows (R30).
    """

    resource: str
    path: str
    options: api.DevicePluginOptions = field(default_factory=api.DevicePluginOptions)
    stopped_at: float | None = None
    _channel: grpc.aio.Channel | None = None

    @classmethod
    def stopped_at_start(cls, resource: str, now: float) -> "Endpoint":
        """Return the endpoint of a resource that only the checkpoint knows (R30)."""
        return cls(resource, "", stopped_at=now)

    def expired(self, now: float, grace: float) -> bool:
        """Whether the endpoint has been stopped for longer than the grace period."""
        return self.stopped_at is not None and now - self.stopped_at > grace

    async def dial(self, clock: Clock, until: float | None) -> None:
        """Connect; raise CallError after the dial's time, whatever the obstacle (R12, R13).

        `until` is the caller's own limit, in the loop's time.
        """
        try:
            async with clock.limit(DIAL_SECONDS), asyncio.timeout_at(until):
                await self._connect()
        except TimeoutError:
            await self.close()
            raise CallError("context deadline exceeded") from None

    async def _connect(self) -> None:
        if len(self.path.encode()) > PATH_LIMIT or "\0" in self.path:
            # No address of a socket. The kubelet tries in vain; gRPC here would not even try.
            await asyncio.Event().wait()
        self._channel = grpc.aio.insecure_channel(target_of(self.path), options=_OPTIONS)
        await self._channel.channel_ready()

    async def read_options(self, seconds: float | None) -> None:
        """Ask for the plugin's options, once, within what the caller has left (R18)."""
        self.options = await _answer(
            lambda: self._stub.GetDevicePluginOptions(api.Empty(), timeout=seconds)
        )

    async def run(self, on_list: Callable[[Collection[api.Device], int], None]) -> str:
        """Pass every list on until the stream ends; return why it ended."""
        try:
            async for message in self._stub.ListAndWatch(api.Empty()):
                on_list(message.devices, message.ByteSize())
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name}: {error.details()}"
        except (StoppedError, grpc.aio.UsageError) as error:
            return str(error)
        except asyncio.CancelledError:
            if _is_ending():
                raise
            return "connection closed by the kubelet"
        return "EOF"

    async def allocate(self, ids: Iterable[str]) -> api.AllocateResponse:
        """Ask for exactly one container, without any time limit (R41, R43)."""
        wanted = api.ContainerAllocateRequest(devices_ids=ids)
        request = api.AllocateRequest(container_requests=[wanted])
        return await _answer(lambda: self._stub.Allocate(request))

    async def prefer(
        self, wanted: api.ContainerPreferredAllocationRequest
    ) -> api.PreferredAllocationResponse:
        """Ask which devices the plugin would rather give, without any time limit (R43)."""
        request = api.PreferredAllocationRequest(container_requests=[wanted])
        return await _answer(lambda: self._stub.GetPreferredAllocation(request))

    async def pre_start(self, ids: Iterable[str], seconds: float) -> None:
        """Announce the start of a container (R55)."""
        request = api.PreStartContainerRequest(devices_ids=ids)
        await _answer(lambda: self._stub.PreStartContainer(request, timeout=seconds))

    async def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            await self._channel.close()

    @property
    def _stub(self) -> "api_grpc.DevicePluginAsyncStub":
        if self._channel is None or self.stopped_at is not None:
            raise StoppedError(f"endpoint {self.path} has been stopped")
        return api_grpc.DevicePluginStub(self._channel)


async def _answer(call: Callable[[], Awaitable[_T]]) -> _T:
    try:
        return await call()
    except grpc.aio.AioRpcError as error:
        code = "".join(word.capitalize() for word in error.code().name.split("_"))
        raise CallError(f"rpc error: code = {code} desc = {error.details()}") from error
    except grpc.aio.UsageError as error:
        raise CallError("the client connection is closing") from error
    except asyncio.CancelledError:
        if _is_ending():
            raise
        raise CallError("the client connection is closing") from None


def _is_ending() -> bool:
    # A call on a channel that is closed under it ends like a task that is cancelled.
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
