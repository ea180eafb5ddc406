"""Rules about registration and lists, on a plugin that has just been started."""

import asyncio
import re
from collections.abc import AsyncIterable

import grpc.aio

from nodeplug.conformance.stage import Stage, answer, pause
from nodeplug.conformance.verdicts import Broken, NotJudgedError
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.testing.patience import slowness

# What a list may take to come after the registration.
_FIRST_LIST_SECONDS = 1.0
# R12: a kubelet dials for 10 s.
_DIAL_SECONDS = 11.0
_STREAM_SECONDS = 5.0
# In so long a quiet plugin has nothing to say.
_QUIET_SECONDS = 2.5
# R23: 63 characters are promised.
_ID = re.compile(r"[^\x00-\x1f]{1,63}")


async def answers_before_it_registers(stage: Stage) -> float | None:
    """C1."""
    seconds = await _first_registration(stage)
    refused = [e for e in stage.kubelet.journal.of("register") if e.detail]
    if refused:
        raise Broken(f"{refused[0].resource}: the kubelet refuses it: {refused[0].detail}")
    await stage.listed()
    return seconds


async def _first_registration(stage: Stage) -> float:
    seen = lambda: bool(stage.kubelet.journal.of("register"))  # noqa: E731 - a condition
    try:
        return await stage.within(stage.patience, seen, "nothing registers")
    except Broken:
        if not stage.kubelet.dialling:
            raise
    return await stage.within(_DIAL_SECONDS, seen, "nothing registers")


async def first_list_is_complete(stage: Stage) -> float | None:
    """C10."""
    await pause(_QUIET_SECONDS)
    slowest = 0.0
    for resource in stage.resources:
        registered = stage.kubelet.journal.of("register", resource)[0].at
        lists = stage.kubelet.journal.of("list", resource)
        slowest = max(slowest, lists[0].at - registered)
        if lists[0].count < lists[-1].count:
            raise Broken(f"{resource}: {lists[0].count} devices first, {lists[-1].count} later")
    if slowest > _FIRST_LIST_SECONDS * slowness():
        raise Broken(f"the first list comes {slowest:.1f} s after the registration")
    return slowest


async def entries_are_valid(stage: Stage) -> float | None:
    """C11."""
    for resource in stage.resources:
        devices = stage.kubelet.table(resource)
        for device in devices:
            _check(resource, device)
        if stage.kubelet.journal.of("list", resource)[-1].count != len(devices):
            raise Broken(f"{resource}: an id stands for two devices")
    return None


def _check(resource: str, device: api.Device) -> None:
    if not _ID.fullmatch(device.ID):
        raise Broken(f"{resource}: id {device.ID[:80]!r} is not 1 to 63 printable characters")
    if device.health not in {"Healthy", "Unhealthy"}:
        raise Broken(f"{resource}: health of {device.ID} is {device.health!r}")
    if device.HasField("topology"):
        nodes = [node.ID for node in device.topology.nodes]
        if not nodes or min(nodes) < 0:
            raise Broken(f"{resource}: {device.ID} has topology {nodes}")


async def options_agree(stage: Stage) -> float | None:
    """C17."""
    for resource in stage.resources:
        request = stage.kubelet.journal.of("register", resource)[-1].request
        assert request is not None
        told, asked = request.options, stage.kubelet.options(resource)
        if told != asked:
            raise Broken(
                f"{resource}: Register says {_shown(told)}, GetDevicePluginOptions {_shown(asked)}"
            )
    return None


def _shown(options: api.DevicePluginOptions) -> str:
    flags = {
        "PreStart": options.pre_start_required,
        "preferences": options.get_preferred_allocation_available,
    }
    return " and ".join(name for name, on in flags.items() if on) or "nothing"


async def nothing_is_sent_twice(stage: Stage) -> float | None:
    """C18."""
    for resource in stage.resources:
        lists = len(stage.kubelet.journal.of("list", resource))
        before = [(d.ID, d.health) for d in stage.kubelet.table(resource)]
        await pause(_QUIET_SECONDS)
        more = len(stage.kubelet.journal.of("list", resource)) - lists
        if more and before == [(d.ID, d.health) for d in stage.kubelet.table(resource)]:
            raise Broken(f"{resource}: {more} equal lists in {_QUIET_SECONDS} s")
    return None


async def two_streams_get_the_list(stage: Stage) -> float | None:
    """C9."""
    for resource in stage.resources:
        wanted = set(stage.kubelet.devices(resource))
        async with stage.calling(resource) as stub:
            streams = [stub.ListAndWatch(api.Empty()) for _ in range(2)]
            reached = asyncio.gather(*[_reaches(stream, wanted) for stream in streams])
            try:
                await answer(reached, f"{resource}: a second stream", _STREAM_SECONDS)
            except grpc.aio.AioRpcError as error:
                text = error.details() or "it ends"
                raise Broken(f"{resource}: a second stream gets no list: {text}") from error
            finally:
                for stream in streams:
                    stream.cancel()
    return None


async def _reaches(stream: AsyncIterable[api.ListAndWatchResponse], wanted: set[str]) -> None:
    async for message in stream:
        if {device.ID for device in message.devices} == wanted:
            return
    raise Broken("a second stream ends before the whole list has come")


def one_with_devices(stage: Stage, count: int = 1) -> str:
    """Return a resource with so many devices to allocate."""
    for resource in stage.resources:
        if len(stage.healthy(resource)) >= count:
            return resource
    raise NotJudgedError(f"no resource has {count} healthy device{'s' if count > 1 else ''}")
