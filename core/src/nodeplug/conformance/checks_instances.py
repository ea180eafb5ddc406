"""Rules about more than one process of the plugin."""

import time

from nodeplug.conformance.checks_life import process_of
from nodeplug.conformance.checks_lists import one_with_devices
from nodeplug.conformance.plugin import names_places
from nodeplug.conformance.stage import Stage, comes, pause
from nodeplug.conformance.subject import Places
from nodeplug.conformance.verdicts import Broken, NotJudgedError

_BACK_SECONDS = 5.0
_SECOND_SECONDS = 5.0
# R77: a kubelet looks once a second for what has gone from its plugin registry.
_NOTICED_SECONDS = 1.5
# R13: with this in it, no name of a socket fits into 107 bytes.
_LONG = "d" * 110


async def old_instance_ends_late(stage: Stage) -> float | None:
    """C7."""
    resource, old = one_with_devices(stage), process_of(stage)
    wanted, before = stage.allocatable(resource), stage.registered(resource)
    new = await stage.another()
    # One that waits for the first to go is as good as one that registers beside it.
    await comes(
        lambda: stage.registered(resource) > before or new.code is not None, _SECOND_SECONDS
    )
    await old.terminate()
    await old.kill()
    started = time.monotonic()
    await pause(_NOTICED_SECONDS)
    left = _BACK_SECONDS - _NOTICED_SECONDS
    if not await comes(lambda: stage.allocatable(resource) == wanted, left):
        raise Broken(f"{resource}: devices are not back within {_BACK_SECONDS:g} s")
    return time.monotonic() - started


async def long_path_is_refused(stage: Stage) -> float | None:
    """C20."""
    if not names_places(stage.subject.command):
        raise NotJudgedError("the plugin is not told where the kubelet's directory is")
    places = Places(*(place / _LONG for place in stage.places))
    for place in places:
        place.mkdir()
    process_of(stage)
    plugin = await stage.another(places)
    await comes(lambda: plugin.code is not None, stage.patience)
    stage.plugins.remove(plugin)
    code = plugin.code
    await plugin.kill()
    if not code:
        ends = "runs on" if code is None else "ends as if all were well"
        raise Broken(f"in a directory with a path of {len(str(places.directory))} bytes it {ends}")
    return None
