"""Calls of the kubelet, timed."""

import time

import grpc

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc

_CALLS = 2000
# Some servers turn away the name that gRPC makes of a socket's path.
_OPTIONS = [("grpc.default_authority", "localhost")]


def find(targets: list[str], hanging: str, serving: str) -> tuple[str, str]:
    """Return the server on which a call for one device hangs, and that which has the other."""
    found = {}
    for target in targets:
        for device in (hanging, serving):
            with grpc.insecure_channel(target) as channel:
                try:
                    api_grpc.DevicePluginStub(channel).Allocate(request(device), timeout=1)
                    found[device] = target
                except grpc.RpcError as error:
                    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                        found[device] = target
    return found[hanging], found[serving]


def request(device: str) -> api.AllocateRequest:
    """Return a request of one container for one device."""
    return api.AllocateRequest(container_requests=[{"devices_ids": [device]}])  # type: ignore[list-item]


def allocate_repeatedly(target: str, device: str, calls: int = _CALLS) -> list[float]:
    """Return how long each of many calls took, from one client on one channel."""
    wanted = request(device)
    seconds = []
    with grpc.insecure_channel(target, options=_OPTIONS) as channel:
        call = api_grpc.DevicePluginStub(channel).Allocate
        call(wanted, timeout=10)
        for _ in range(calls):
            started = time.perf_counter()
            call(wanted, timeout=10)
            seconds.append(time.perf_counter() - started)
    return seconds
