"""The rule about plugins that a kubelet finds in its registry directory."""

import asyncio
import time

import grpc.aio

from nodeplug.conformance.stage import OPTIONS, Stage, answer
from nodeplug.conformance.verdicts import Broken, NotJudgedError
from nodeplug.kubelet.api import pluginregistration_v1_pb2 as api
from nodeplug.kubelet.api import pluginregistration_v1_pb2_grpc as api_grpc
from nodeplug.kubelet.target import target_of

# R74.
_INFO_SECONDS = 1.0
_NOTIFY_SECONDS = 5.0
_CALLERS = 20


async def says_who_it_is(stage: Stage) -> float | None:
    """C23."""
    events = stage.kubelet.journal.of("register")
    found = {event.resource: event.found for event in events if event.found}
    if not found:
        raise NotJudgedError("the plugin calls the kubelet, which does not have to find it")
    called = {event.resource for event in events if not event.found}
    if both := sorted(found.keys() & called):
        raise Broken(f"{both[0]}: it calls the kubelet, and lets itself be found, too")
    slowest = 0.0
    for resource, socket in sorted(found.items()):
        slowest = max(slowest, await _asked_by_many(resource, target_of(socket)))
    return slowest


async def _asked_by_many(resource: str, target: str) -> float:
    started = time.monotonic()
    try:
        await asyncio.gather(*(_asked(resource, target) for _ in range(_CALLERS)))
        seconds = time.monotonic() - started
        await _told(target)
    except grpc.aio.AioRpcError as error:
        text = error.details() or error.code().name
        raise Broken(f"{resource}: with {_CALLERS} calls at a time, {text}") from error
    return seconds


async def _asked(resource: str, target: str) -> None:
    async with grpc.aio.insecure_channel(target, options=OPTIONS) as channel:
        stub = api_grpc.RegistrationStub(channel)
        info = await answer(stub.GetInfo(api.InfoRequest()), "GetInfo", _INFO_SECONDS)
    if info.name != resource:
        raise Broken(f"{resource}: it calls itself {info.name!r} now")


async def _told(target: str) -> None:
    async with grpc.aio.insecure_channel(target, options=OPTIONS) as channel:
        stub = api_grpc.RegistrationStub(channel)
        status = api.RegistrationStatus(plugin_registered=True)
        await answer(stub.NotifyRegistrationStatus(status), "the report", _NOTIFY_SECONDS)
