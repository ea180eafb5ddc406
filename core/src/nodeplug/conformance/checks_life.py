"""Rules about restarts of either side. They change the plugin's state, so they come last."""

import time
from collections.abc import Mapping

import grpc.aio

from nodeplug.conformance.checks_lists import one_with_devices
from nodeplug.conformance.plugin import PluginProcess
from nodeplug.conformance.stage import Stage, comes, pause
from nodeplug.conformance.verdicts import Broken, NotJudgedError
from nodeplug.host.files import remove_quietly
from nodeplug.testing.kubelet.kubelet import SOCKET
from nodeplug.testing.patience import slowness

_REGISTER_SECONDS = 1.0
_STREAM_SECONDS = 5.0
_ABSENT_SECONDS = 2.0
_FOREIGN = "another-plugins.sock"
# What a plugin that restarts for old news does so at once or with a delay of this order.
_NEWS_SECONDS = 1.5
# R13: a kubelet says so when it cannot reach the plugin for now.
_REFUSAL = "failed to dial device plugin: context deadline exceeded"
_REFUSALS = 2


async def kubelet_restarts(stage: Stage) -> float | None:
    """C2."""
    slowest = 0.0
    for _ in range(3):
        before = _counts(stage)
        started = time.monotonic()
        await stage.kubelet.restart()
        await _registered_since(stage, before)
        slowest = max(slowest, time.monotonic() - started)
        await pause(0.2)
    if slowest > _REGISTER_SECONDS * slowness():
        raise Broken(f"it is registered again after {slowest:.1f} s")
    return slowest


async def old_news_is_nothing(stage: Stage) -> float | None:
    """C3."""
    before = _counts(stage)
    socket, aside = stage.kubelet.directory / SOCKET, stage.kubelet.directory / "aside"
    for _ in range(3):
        socket.rename(aside)
        aside.rename(socket)
    socket.chmod(0o777)
    await pause(_NEWS_SECONDS)
    again = sorted(name for name, count in _counts(stage).items() if count > before[name])
    if again:
        raise Broken(f"{again[0]}: it registers again although the kubelet is the same")
    return None


async def registration_is_refused(stage: Stage) -> float | None:
    """C8."""
    before = _counts(stage)
    await stage.kubelet.stop()
    await stage.kubelet.start()
    stage.kubelet.refuse(*[_REFUSAL] * _REFUSALS * len(before))
    started = time.monotonic()
    await _registered_since(stage, before)
    return time.monotonic() - started


async def kubelet_is_absent(stage: Stage) -> float | None:
    """C4."""
    before = _counts(stage)
    await stage.kubelet.stop(unlink=True)
    await pause(_ABSENT_SECONDS)
    if process_of(stage).code is not None:
        raise Broken(f"without a kubelet it ends with code {process_of(stage).code}")
    started = time.monotonic()
    await stage.kubelet.start()
    await _registered_since(stage, before)
    return time.monotonic() - started


async def socket_is_removed(stage: Stage) -> float | None:
    """C5."""
    before = _counts(stage)
    resource = stage.resources[0]
    path = stage.endpoint(resource)
    remove_quietly(path)
    started = time.monotonic()
    mended = lambda: path.exists() or stage.registered(resource) > before[resource]  # noqa: E731 - a condition
    if not await comes(mended, _STREAM_SECONDS):
        raise Broken(f"{resource}: it is neither put back nor registered anew within 5 s")
    return time.monotonic() - started


async def stream_is_lost(stage: Stage) -> float | None:
    """C6."""
    slowest = 0.0
    for resource in stage.resources:
        before = len(stage.kubelet.journal.of("list", resource))
        await stage.kubelet.drop_streams(resource)
        seconds = await stage.within(
            _STREAM_SECONDS,
            lambda name=resource, count=before: (  # type: ignore[misc]
                len(stage.kubelet.journal.of("list", name)) > count
            ),
            f"{resource}: no list comes after its stream was lost",
        )
        slowest = max(slowest, seconds)
    return slowest


async def restart_keeps_answers(stage: Stage) -> float | None:
    """C21."""
    resource = one_with_devices(stage)
    ids = sorted(stage.healthy(resource))[:2]
    before = await stage.allocate(resource, ids)
    plugin, counts = process_of(stage), _counts(stage)
    await plugin.terminate()
    await plugin.kill()
    await plugin.start()
    await _registered_since(stage, counts)
    ready = lambda: set(ids) <= set(stage.healthy(resource))  # noqa: E731 - a condition
    await stage.within(stage.patience, ready, f"{resource}: {ids} do not come back")
    try:
        after = await stage.allocate(resource, ids)
    except grpc.aio.AioRpcError as error:
        raise Broken(f"{resource}: Allocate fails after a restart: {error.details()}") from error
    if after != before:
        raise Broken(f"{resource}: the same devices get another answer after a restart")
    return None


async def sigterm_ends_it(stage: Stage) -> float | None:
    """C19."""
    foreign = stage.kubelet.directory / _FOREIGN
    foreign.touch()
    started = time.monotonic()
    if not await process_of(stage).terminate():
        raise Broken("it goes on after SIGTERM")
    seconds = time.monotonic() - started
    if not foreign.exists():
        raise Broken("it has removed a file that is not its own")
    return seconds


def process_of(stage: Stage) -> PluginProcess:
    """Return the plugin's process; raise NotJudgedError where it is not ours."""
    if stage.plugin is None:
        raise NotJudgedError("the plugin was not started by this command")
    return stage.plugin


def _counts(stage: Stage) -> Mapping[str, int]:
    return {name: stage.registered(name) for name in stage.resources}


async def _registered_since(stage: Stage, before: Mapping[str, int]) -> None:
    await stage.within(
        stage.patience,
        lambda: all(stage.registered(name) > count for name, count in before.items()),
        "it is not registered again",
    )
