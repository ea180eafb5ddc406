"""Judging a plugin by all rules, one after the other."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import grpc.aio

from nodeplug.conformance import (
    checks_calls,
    checks_devices,
    checks_found,
    checks_instances,
    checks_life,
    checks_lists,
)
from nodeplug.conformance.stage import Stage, opened
from nodeplug.conformance.subject import Subject
from nodeplug.conformance.verdicts import Broken, NotJudgedError, Verdict
from nodeplug.testing import Profile
from nodeplug.testing.patience import in_time

# What a rule that is held gives to see: a time, a remark, or nothing.
Check = Callable[[Stage], Awaitable[float | str | None]]

# What one rule may take, whatever the plugin does.
_CHECK_SECONDS = 90.0

# The first decides whether there is anything to judge; what changes the plugin's state is last.
_CHECKS: Sequence[tuple[str, Check]] = (
    ("C1", checks_lists.answers_before_it_registers),
    ("C10", checks_lists.first_list_is_complete),
    ("C13", checks_devices.lists_fit),
    ("C11", checks_lists.entries_are_valid),
    ("C17", checks_lists.options_agree),
    ("C18", checks_lists.nothing_is_sent_twice),
    ("C9", checks_lists.two_streams_get_the_list),
    ("C14", checks_calls.allocate_behaves),
    ("C15", checks_calls.preferences_are_right),
    ("C16", checks_calls.pre_start_behaves),
    ("C22", checks_calls.large_requests_are_taken),
    ("C12", checks_devices.lost_devices_stay),
    ("C23", checks_found.says_who_it_is),
    ("C3", checks_life.old_news_is_nothing),
    ("C2", checks_life.kubelet_restarts),
    ("C8", checks_life.registration_is_refused),
    ("C6", checks_life.stream_is_lost),
    ("C5", checks_life.socket_is_removed),
    ("C4", checks_life.kubelet_is_absent),
    ("C21", checks_life.restart_keeps_answers),
    ("C7", checks_instances.old_instance_ends_late),
    ("C20", checks_instances.long_path_is_refused),
    ("C19", checks_life.sigterm_ends_it),
)
# Judged whatever else is wrong, and without anything that a plugin would have to do.
_ALWAYS = {"C1", "C13"}
# These are about what a plugin does as a process; for one that runs already they say nothing.
_OF_PROCESSES = {"C2", "C3", "C4", "C5", "C6", "C7", "C8", "C17", "C19", "C20", "C21", "C23"}


async def judge(subject: Subject, profile: Profile) -> AsyncIterator[Verdict]:
    """Yield a verdict for every rule. Each is judged on a plugin that lists its devices."""
    async with opened(subject, profile) as stage:
        usable = True
        for number, check in _CHECKS:
            if reason := _obstacle(number, subject, usable=usable):
                yield Verdict(number, profile.value, "not judged", reason)
                continue
            verdict = await _judged(number, check, stage)
            usable = usable and not (number == "C1" and verdict.outcome == "broken")
            yield verdict
            if verdict.outcome == "broken" and usable and number != "C19":
                await _mended(stage)


def _obstacle(number: str, subject: Subject, *, usable: bool) -> str:
    if not usable and number not in _ALWAYS:
        return "the plugin does not come to serve anything"
    if subject.socket is not None and number in _OF_PROCESSES:
        return "the plugin was not started by this command"
    return ""


async def _judged(number: str, check: Check, stage: Stage) -> Verdict:
    profile = stage.profile.value
    try:
        async with in_time(_CHECK_SECONDS):
            await stage.settled()
            seen = await check(stage)
    except Broken as broken:
        return Verdict(number, profile, "broken", str(broken))
    except NotJudgedError as reason:
        return Verdict(number, profile, "not judged", str(reason))
    except TimeoutError:
        return Verdict(number, profile, "broken", f"no end within {_CHECK_SECONDS:g} s")
    except (grpc.aio.AioRpcError, OSError, StopAsyncIteration) as error:
        text = error.details() if isinstance(error, grpc.aio.AioRpcError) else repr(error)
        return Verdict(number, profile, "broken", text or "the call fails")
    if isinstance(seen, str):
        return Verdict(number, profile, "held", seen)
    return Verdict(number, profile, "held", "", seen)


async def _mended(stage: Stage) -> None:
    """Start kubelet and plugin anew, so that one broken rule does not break the next."""
    if stage.plugin is None:
        return
    for plugin in stage.plugins:
        await plugin.kill()
    await stage.kubelet.stop(unlink=True)
    await stage.kubelet.start()
    stage.kubelet.journal.events.clear()
    await stage.another()
    try:
        await stage.listed()
    except Broken:
        return
