"""Rules about lists that change, and about their size."""

import time

from nodeplug.conformance.checks_lists import one_with_devices
from nodeplug.conformance.stage import Stage
from nodeplug.conformance.verdicts import Broken, NotJudgedError
from nodeplug.testing import AdmissionError, Pod
from nodeplug.testing.patience import in_time

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
    one_with_devices(stage)
    pods = [Pod.of({name: len(ids)}) for name in stage.resources if (ids := stage.healthy(name))]
    try:
        for pod in pods:
            await stage.kubelet.admit(pod)
        return await _lose(stage)
    except AdmissionError as error:
        raise NotJudgedError(f"pods are refused: {error}") from error
    finally:
        for pod in pods:
            await stage.kubelet.remove(pod)
        if stage.subject.undo:
            await stage.run(stage.subject.undo)
            await stage.settled()


async def _lose(stage: Stage) -> float:
    before = {name: stage.kubelet.devices(name) for name in stage.resources}

    def changed() -> bool:
        return any(stage.kubelet.devices(name) != devices for name, devices in before.items())

    started = time.monotonic()
    await stage.run(stage.subject.change)
    try:
        await stage.kubelet.journal.until(changed, stage.patience, in_time)
    except TimeoutError as error:
        text = f"all lists are the same {stage.patience:g} s after --change"
        raise NotJudgedError(text) from error
    seconds = time.monotonic() - started
    for name in before:
        if lost := sorted(stage.kubelet.held(name) - stage.kubelet.devices(name).keys()):
            raise Broken(f"{name}: {lost} leave the list while containers have them")
    return seconds
