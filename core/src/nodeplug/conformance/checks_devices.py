"""Rules about lists that change, and about their size."""

import time
from contextlib import suppress

from nodeplug.conformance.checks_lists import one_with_devices
from nodeplug.conformance.stage import Stage
from nodeplug.conformance.verdicts import Broken, NotJudgedError
from nodeplug.testing import Pod

# R22.
_LIMIT = 4 * 1024 * 1024
_TOO_LARGE = "RESOURCE_EXHAUSTED"


async def lists_fit(stage: Stage) -> str:
    """C13."""
    for event in stage.kubelet.journal.of("stream end"):
        if event.detail.startswith(_TOO_LARGE):
            raise Broken(f"{event.resource}: a list is too large: {event.detail}")
    sizes = [event.size for event in stage.kubelet.journal.of("list")]
    if not sizes:
        raise NotJudgedError("there is no list")
    return f"the largest so far has {max(sizes)} of {_LIMIT} bytes"


async def lost_devices_stay(stage: Stage) -> float | None:
    """C12."""
    if not stage.subject.change:
        raise NotJudgedError("needs --change, a command after which a device is lost")
    resource = one_with_devices(stage)
    pod = Pod.of({resource: len(stage.healthy(resource))})
    await stage.kubelet.admit(pod)
    try:
        return await _lose(stage, resource)
    finally:
        await stage.kubelet.remove(pod)
        if stage.subject.undo:
            await stage.run(stage.subject.undo)
            await stage.settled()


async def _lose(stage: Stage, resource: str) -> float:
    before = stage.kubelet.devices(resource)
    started = time.monotonic()
    await stage.run(stage.subject.change)
    with suppress(TimeoutError):
        await stage.kubelet.until(lambda: stage.kubelet.devices(resource) != before, stage.patience)
        seconds = time.monotonic() - started
        if lost := sorted(stage.kubelet.held(resource) - stage.kubelet.devices(resource).keys()):
            raise Broken(f"{resource}: {lost} leave the list while a container has them")
        return seconds
    raise NotJudgedError(f"{resource}: the list is the same {stage.patience:g} s after --change")
