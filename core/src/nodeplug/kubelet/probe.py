"""Asking a device plugin's own socket, as the kubelet would."""

from pathlib import Path

import grpc.aio

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc

_SECONDS = 1.0


async def trouble_at(socket: Path) -> str:
    """Return why the plugin at this socket does not answer, or empty if it does."""
    options = [("grpc.default_authority", "localhost"), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"unix:{socket}", options=options) as channel:
        try:
            stub = api_grpc.DevicePluginStub(channel)
            await stub.GetDevicePluginOptions(api.Empty(), timeout=_SECONDS)
        except grpc.aio.AioRpcError as error:
            return error.details() or error.code().name
    return ""
