"""Rules about the calls for a container."""

import time

import grpc
import grpc.aio

from nodeplug.conformance.checks_lists import one_with_devices
from nodeplug.conformance.stage import Stage, answer
from nodeplug.conformance.verdicts import Broken, NotJudgedError
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api

_UNKNOWN = "no-device-has-this-id"
# R55.
_PRE_START_SECONDS = 30.0
# As many ids of 40 characters are above gRPC's own limit for what a server takes, 4 MiB.
_MANY = 120_000


async def allocate_behaves(stage: Stage) -> float | None:
    """C14."""
    resource = one_with_devices(stage)
    ids = sorted(stage.healthy(resource))
    started = time.monotonic()
    first = await _allocated(stage, resource, ids[:1])
    seconds = time.monotonic() - started
    if await _allocated(stage, resource, ids[:1]) != first:
        raise Broken(f"{resource}: the same request gets another answer")
    await _unknown_is_refused(stage, resource)
    both = await stage.allocate(resource, ids[:1], ids[-1:])
    if len(both.container_responses) != 2:  # noqa: PLR2004 - as many as were asked for
        raise Broken(f"{resource}: 2 containers get {len(both.container_responses)} answers")
    return seconds


async def _allocated(stage: Stage, resource: str, ids: list[str]) -> api.AllocateResponse:
    try:
        reply = await stage.allocate(resource, ids)
    except grpc.aio.AioRpcError as error:
        raise Broken(f"{resource}: Allocate of {ids} fails: {error.details()}") from error
    if len(reply.container_responses) != 1:
        raise Broken(f"{resource}: one container gets {len(reply.container_responses)} answers")
    return reply


async def _unknown_is_refused(stage: Stage, resource: str) -> None:
    try:
        await stage.allocate(resource, [_UNKNOWN])
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            raise Broken(f"{resource}: an unknown id ends the server") from error
        return
    raise Broken(f"{resource}: an id that no device has is allocated")


async def preferences_are_right(stage: Stage) -> float | None:
    """C15."""
    resource = next(
        (
            name
            for name in stage.resources
            if stage.kubelet.options(name).get_preferred_allocation_available
        ),
        None,
    )
    if resource is None:
        raise NotJudgedError("the plugin offers no preferences")
    ids = sorted(stage.healthy(resource))
    if not ids:
        raise NotJudgedError("there is no healthy device")
    started = time.monotonic()
    for size in {1, (len(ids) + 1) // 2, len(ids)}:
        await _preference(stage, resource, ids, size)
    return time.monotonic() - started


async def _preference(stage: Stage, resource: str, ids: list[str], size: int) -> None:
    must = ids[-1:]
    asked = api.ContainerPreferredAllocationRequest(
        available_deviceIDs=ids, must_include_deviceIDs=must, allocation_size=size
    )
    request = api.PreferredAllocationRequest(container_requests=[asked])
    async with stage.calling(resource) as stub:
        try:
            reply = await answer(stub.GetPreferredAllocation(request), resource)
        except grpc.aio.AioRpcError as error:
            raise Broken(f"{resource}: {size} of {len(ids)}: {error.details()}") from error
    chosen = list(reply.container_responses[0].deviceIDs) if reply.container_responses else []
    if chosen and (
        len(set(chosen)) != size or not set(chosen) <= set(ids) or not set(must) <= set(chosen)
    ):
        raise Broken(f"{resource}: of {ids}, {size} with {must} in it, it prefers {chosen}")


async def pre_start_behaves(stage: Stage) -> float | None:
    """C16."""
    resource = next(
        (name for name in stage.resources if stage.kubelet.options(name).pre_start_required), None
    )
    if resource is None:
        raise NotJudgedError("the plugin asks for no PreStartContainer")
    ids = sorted(stage.healthy(resource))[:1]
    if not ids:
        raise NotJudgedError("there is no healthy device")
    await _allocated(stage, resource, ids)
    started = time.monotonic()
    async with stage.calling(resource) as stub:
        for _ in range(2):
            request = api.PreStartContainerRequest(devices_ids=ids)
            try:
                await answer(stub.PreStartContainer(request), resource, _PRE_START_SECONDS)
            except grpc.aio.AioRpcError as error:
                raise Broken(f"{resource}: PreStartContainer fails: {error.details()}") from error
    return time.monotonic() - started


async def large_requests_are_taken(stage: Stage) -> float | None:
    """C22."""
    resource = stage.resources[0]
    ids = [f"{'x' * 33}{number:07}" for number in range(_MANY)]
    try:
        await stage.allocate(resource, ids)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise Broken(f"{resource}: a request of 5 MiB is turned away") from error
    return None
