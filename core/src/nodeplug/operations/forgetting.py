"""Ending a hold by an operator's word, where the agents cannot prove that it is over."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from nodeplug.holdings import Key
from nodeplug.host.forgetting import Request, Taken, answers, ask
from nodeplug.host.ledger_view import written_down
from nodeplug.kubelet.evidence import CHECKPOINT, read_checkpoint
from nodeplug.kubelet.pod_resources import assignments, list_pods
from nodeplug.kubelet.served import Served, served_devices
from nodeplug.values.device import Health
from nodeplug.values.errors import NodeplugError

_PAUSE_SECONDS = 0.25
# What a device is listed for that nothing offers any more.
_GONE = "gone"


class ForgetRefusedError(NodeplugError):
    """A hold is not to be ended: the kubelet shows it, or may, or there is none."""


class Place(NamedTuple):
    """Where the kubelet and the agents of a node are."""

    pod_resources: Path
    plugin_dir: Path
    ledger: Path


class Outcome(NamedTuple):
    """What agents made of a request, and what they still keep back for the hold, with reasons."""

    taken: list[Taken]
    kept_back: Mapping[Key, str]

    @property
    def ended(self) -> bool:
        """Whether the hold is over as far as can be seen."""
        return bool(self.taken) and all(each.ended for each in self.taken) and not self.kept_back


async def forget(place: Place, request: Request, *, seconds: float, unverified: bool) -> Outcome:
    """Ask all agents to end a hold, and wait until that shows, or for so many seconds.

    Raises ForgetRefusedError, and asks nobody, while the kubelet shows the device for a container
    or cannot be asked; `unverified` is for the latter. OSError is that of the ledger's folder.
    """
    key = request.resource, request.device
    await _refuse_what_is_shown(place, key, unverified=unverified)
    if not await _kept_back(place, key) and key not in written_down(place.ledger):
        raise ForgetRefusedError(f"nothing is held as {key[1]} of {key[0]}")
    ask(place.ledger, request)
    return await _outcome(place, request, seconds)


async def _refuse_what_is_shown(place: Place, key: Key, *, unverified: bool) -> None:
    reply = await list_pods(place.pod_resources)
    recorded = read_checkpoint(place.plugin_dir / CHECKPOINT).records
    users = sorted(
        f"{each.namespace}/{each.pod}/{each.container}"
        for each in (assignments(reply) if reply is not None else ())
        if (each.resource, each.device) == key
    )
    what = f"{key[1]} of {key[0]}"
    if users:
        text = f"the kubelet shows {what} for {', '.join(dict.fromkeys(users))}"
        raise ForgetRefusedError(f"{text}: the hold ends with the pod")
    if recorded and key in recorded:
        pods = ", ".join(sorted(recorded[key].pods)) or "a pod"
        text = f"the kubelet's checkpoint has {what} for pod {pods}"
        raise ForgetRefusedError(f"{text}: the hold ends when that is written anew without it")
    silent = [*(["pod resources"] if reply is None else [])]
    silent += [*(["checkpoint"] if recorded is None else [])]
    if silent and not unverified:
        text = f"nothing can be learnt from the kubelet's {' and '.join(silent)}"
        raise ForgetRefusedError(f"{text}: give --unverified if you know that {what} is free")


async def _outcome(place: Place, request: Request, seconds: float) -> Outcome:
    until = time.monotonic() + seconds
    while True:
        kept_back = await _kept_back(place, (request.resource, request.device))
        outcome = Outcome(answers(place.ledger, request), kept_back)
        refused = any(not each.ended for each in outcome.taken)
        if outcome.ended or refused or time.monotonic() >= until:
            return outcome
        await asyncio.sleep(_PAUSE_SECONDS)


async def _kept_back(place: Place, key: Key) -> Mapping[Key, str]:
    return dict(_kept(await served_devices(place.plugin_dir), key))


def _kept(served: Mapping[Key, Served], holder: Key) -> Iterator[tuple[Key, str]]:
    """Yield what is listed as Unhealthy because of a hold, in the words of the pool."""
    named = f"in use as {holder[1]} of {holder[0]}"
    for key, own in served.items():
        own_id = key == holder and (own.held or own.reason == _GONE)
        if own.health != Health.HEALTHY.value and (own_id or own.reason == named):
            yield key, own.reason
