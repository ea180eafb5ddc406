"""The yardstick: the least that a grpc.aio device plugin can be. It registers once and serves."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc

RESOURCE = "example.com/minimal"


class MinimalPlugin(api_grpc.DevicePluginServicer):
    """Four devices, never a change, nothing checked."""

    async def GetDevicePluginOptions(self, *_: Any) -> api.DevicePluginOptions:  # noqa: N802
        return api.DevicePluginOptions()

    async def ListAndWatch(self, *_: Any) -> AsyncIterator[api.ListAndWatchResponse]:  # noqa: N802
        devices = [api.Device(ID=f"d{n}", health="Healthy") for n in range(4)]
        yield api.ListAndWatchResponse(devices=devices)
        await asyncio.Event().wait()

    async def Allocate(  # noqa: N802
        self, request: api.AllocateRequest, _: Any
    ) -> api.AllocateResponse:
        spec = api.DeviceSpec(container_path="/dev/null", host_path="/dev/null", permissions="rw")
        one = api.ContainerAllocateResponse(devices=[spec])
        return api.AllocateResponse(container_responses=[one for _ in request.container_requests])

    async def GetPreferredAllocation(  # noqa: N802
        self, *_: Any
    ) -> api.PreferredAllocationResponse:
        return api.PreferredAllocationResponse()

    async def PreStartContainer(self, *_: Any) -> api.PreStartContainerResponse:  # noqa: N802
        return api.PreStartContainerResponse()


async def main(directory: str) -> None:
    server = grpc.aio.server()
    api_grpc.add_DevicePluginServicer_to_server(MinimalPlugin(), server)
    server.add_insecure_port(f"unix:{directory}/minimal.sock")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{directory}/kubelet.sock") as channel:
        request = api.RegisterRequest(
            version="v1beta1", endpoint="minimal.sock", resource_name=RESOURCE
        )
        await api_grpc.RegistrationStub(channel).Register(request)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
