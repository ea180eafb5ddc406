"""What becomes of each GPU, and why: `nodeplug devices --explain`."""

import time
from collections.abc import Iterator, Sequence
from typing import Final

from nodeplug.backend import Verdict
from nodeplug.host.calls import call
from nodeplug.host.host import Host
from nodeplug.host.root import HostRoot
from nodeplug_nvidia_gpu.drivers import driver_for
from nodeplug_nvidia_gpu.looking import Looker
from nodeplug_nvidia_gpu.naming import device_id
from nodeplug_nvidia_gpu.settings import NvidiaGpuSettings
from nodeplug_nvidia_gpu.surroundings import Surveyor
from nodeplug_nvidia_gpu.units import Unit, units
from nodeplug_nvidia_gpu.view import View

_LOOK_SECONDS: Final = 20.0


async def explain(settings: NvidiaGpuSettings, host: Host) -> Sequence[Verdict]:
    """Return a verdict for each GPU or slice; one for the driver where it does not work."""
    try:
        view = await call(look_once, settings, host.root, timeout=_LOOK_SECONDS)
    except TimeoutError:
        view = View(problem=f"has not answered within {_LOOK_SECONDS:.0f} s")
    return [*_verdicts(settings, view)]


def look_once(settings: NvidiaGpuSettings, root: HostRoot) -> View:
    """Return what the driver says now; it may block."""
    looker = Looker(driver_for(settings, root), Surveyor(root, settings).plugged)
    try:
        view = looker.look()
        if (seconds := looker.next_verdict) is not None:
            time.sleep(seconds)
            view = looker.look()
        return view
    finally:
        looker.close()


def _verdicts(settings: NvidiaGpuSettings, view: View) -> Iterator[Verdict]:
    if view.problem:
        yield Verdict("driver", "", chosen=False, reason=view.problem)
    for stranger in view.strangers:
        device, _, reason = stranger.partition(": ")
        yield Verdict(device, "", chosen=False, reason=reason)
    served, omitted = units(view.gpus, settings.mig_strategy)
    for unit in served:
        device = device_id(unit.uuid)
        reason = _reason(settings, view, unit)
        yield Verdict(device, unit.resource, chosen=not unit.oddity, reason=reason)
    for omission in omitted:
        yield Verdict(omission.gpu.uuid, "", chosen=False, reason=omission.reason)


def _reason(settings: NvidiaGpuSettings, view: View, unit: Unit) -> str:
    if unit.oddity:
        return unit.oddity
    part, kind = unit.part, f"GPU {unit.gpu.index}, {unit.gpu.name}"
    if part is not None:
        kind = f"slice {part.index} of {kind}, profile {part.profile}"
    elif unit.gpu.mig:
        kind = f"{kind}; as a whole, because migStrategy is {settings.mig_strategy}"
    return "; ".join([kind, *view.conditions.get(unit.gpu.uuid, {}).values()])
