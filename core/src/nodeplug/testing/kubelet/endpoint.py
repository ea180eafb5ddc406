"""The kubelet's connection to one registered plugin."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import grpc.aio

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug.testing.kubelet.clock import Clock

# R12: how long the kubelet dials a plugin that has registered.
DIAL_SECONDS = 10.0
# The length of sun_path less its NUL; beyond it nothing can be dialled (R13).
_PATH_LIMIT = 107
# R20, R22: one connection, this authority, gRPC's own limit on what is received.
_OPTIONS = (
    ("grpc.default_authority", "localhost"),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
)


class StoppedError(Exception):
    """A call to an endpoint whose stream has ended (R28)."""


@dataclass(eq=False, slots=True)
class Endpoint:
    """One registration: socket, connection, options, and when its stream ended."""

    resource: str
    path: str
    options: api.DevicePluginOptions = field(default_factory=api.DevicePluginOptions)
    stopped_at: float | None = None
    _channel: grpc.aio.Channel | None = None

    @classmethod
    def stopped_at_start(cls, resource: str, now: float) -> "Endpoint":
        """Return the endpoint of a resource that only the checkpoint knows (R30)."""
        return cls(resource, "", stopped_at=now)

    @property
    def stub(self) -> "api_grpc.DevicePluginAsyncStub":
        """The plugin's service; raises StoppedError once the endpoint is stopped."""
        if self._channel is None or self.stopped_at is not None:
            raise StoppedError(f"endpoint {self.path} has been stopped")
        return api_grpc.DevicePluginStub(self._channel)

    def expired(self, now: float, grace: float) -> bool:
        """Whether the endpoint has been stopped for longer than the grace period."""
        return self.stopped_at is not None and now - self.stopped_at > grace

    async def dial(self, clock: Clock) -> None:
        """Connect; raise ConnectionError after the dial's time."""
        if len(self.path.encode()) > _PATH_LIMIT:
            raise ConnectionError(f"{self.path}: invalid argument")
        self._channel = grpc.aio.insecure_channel(f"unix:{self.path}", options=_OPTIONS)
        try:
            async with clock.limit(DIAL_SECONDS):
                await self._channel.channel_ready()
        except TimeoutError:
            await self.close()
            raise ConnectionError("context deadline exceeded") from None

    async def read_options(self, seconds: float | None) -> None:
        """Ask for the plugin's options, once, within what the caller has left."""
        self.options = await self.stub.GetDevicePluginOptions(api.Empty(), timeout=seconds)

    async def run(self, on_list: Callable[[Collection[api.Device], int], None]) -> str:
        """Pass every list on until the stream ends; return why it ended."""
        try:
            async for message in self.stub.ListAndWatch(api.Empty()):
                on_list(message.devices, message.ByteSize())
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name}: {error.details()}"
        except asyncio.CancelledError:
            return "connection closed by the kubelet"
        except (StoppedError, grpc.aio.UsageError) as error:
            return str(error)
        return "EOF"

    async def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            await self._channel.close()
