"""Why devices are not given, for whoever asks on our own sockets: v1beta1 has no field for it."""

from collections.abc import Mapping
from typing import Any, Final

import grpc
import grpc.aio
import msgspec

from nodeplug.pool import ResourcePool

_SERVICE: Final = "nodeplug.v1.Reasons"
_METHOD: Final = "List"


class Reason(msgspec.Struct, frozen=True, array_like=True):
    """Why a device is listed as Unhealthy, and whether only what containers have is why."""

    device: str
    text: str
    held: bool


_decode = msgspec.json.Decoder(list[Reason]).decode


def reasons_handler(pool: ResourcePool) -> grpc.GenericRpcHandler:
    """Return the service for one resource as gRPC wants it; its messages are JSON."""

    async def answer(_: bytes, __: object) -> bytes:
        devices = pool.snapshot.devices
        return msgspec.json.encode([Reason(d.id, d.reason, d.held) for d in devices if d.reason])

    method: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(answer)
    return grpc.method_handlers_generic_handler(_SERVICE, {_METHOD: method})


async def ask_reasons(channel: grpc.aio.Channel, seconds: float) -> Mapping[str, Reason]:
    """Return the reasons by device; none where the agent is silent or of a former version."""
    ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
    ask = channel.unary_unary(f"/{_SERVICE}/{_METHOD}")
    try:
        return {each.device: each for each in _decode(await ask(b"", timeout=seconds))}
    except (grpc.aio.AioRpcError, msgspec.DecodeError):
        return {}
