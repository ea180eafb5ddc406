"""Why devices are not given, for whoever asks on our own sockets: v1beta1 has no field for it.

And what else is not as it should be. Only root reaches the sockets, so values may be told.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import grpc
import grpc.aio
import msgspec

from nodeplug.pool import ResourcePool
from nodeplug.values.trouble import Trouble

_SERVICE: Final = "nodeplug.v1.Reasons"
_METHOD: Final = "List"
_TROUBLES: Final = "Troubles"


class Reason(msgspec.Struct, frozen=True, array_like=True):
    """Why a device is listed as Unhealthy, and whether only what containers have is why."""

    device: str
    text: str
    held: bool


_decode = msgspec.json.Decoder(list[Reason]).decode
_decode_troubles = msgspec.json.Decoder(list[Trouble]).decode


def reasons_handler(
    pool: ResourcePool, troubles: Callable[[], Sequence[Trouble]]
) -> grpc.GenericRpcHandler:
    """Return the service for one resource as gRPC wants it; its messages are JSON.

    `troubles` are those of its agent.
    """

    async def answer(_: bytes, __: object) -> bytes:
        devices = pool.snapshot.devices
        return msgspec.json.encode([Reason(d.id, d.reason, d.held) for d in devices if d.reason])

    async def tell(_: bytes, __: object) -> bytes:
        return msgspec.json.encode(troubles())

    methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        _METHOD: grpc.unary_unary_rpc_method_handler(answer),
        _TROUBLES: grpc.unary_unary_rpc_method_handler(tell),
    }
    return grpc.method_handlers_generic_handler(_SERVICE, methods)


async def ask_troubles(channel: grpc.aio.Channel, seconds: float) -> Sequence[Trouble]:
    """Return the troubles of an agent; none where it is silent or of a former version."""
    ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
    ask = channel.unary_unary(f"/{_SERVICE}/{_TROUBLES}")
    try:
        return _decode_troubles(await ask(b"", timeout=seconds))
    except (grpc.aio.AioRpcError, msgspec.DecodeError):
        return ()


async def ask_reasons(channel: grpc.aio.Channel, seconds: float) -> Mapping[str, Reason]:
    """Return the reasons by device; none where the agent is silent or of a former version."""
    ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
    ask = channel.unary_unary(f"/{_SERVICE}/{_METHOD}")
    try:
        return {each.device: each for each in _decode(await ask(b"", timeout=seconds))}
    except (grpc.aio.AioRpcError, msgspec.DecodeError):
        return {}
