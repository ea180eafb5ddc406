"""Judging a plugin by all rules, one after the other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import grpc.aio

from nodeplug.conformance import checks_calls, checks_life, checks_lists
from nodeplug.conformance.stage import Stage, opened
from nodeplug.conformance.verdicts import Broken, NotJudgedError, Verdict
from nodeplug.testing import Profile

Check = Callable[[Stage], Awaitable[float | None]]

# What one rule may take, whatever the plugin does.
_CHECK_SECONDS = 90.0

# The first decides whether there is anything to judge; what changes the plugin's state is last.
_CHECKS: Sequence[tuple[str, Check]] = (
    ("C1", checks_lists.answers_before_it_registers),
    ("C10", checks_lists.first_list_is_complete),
    ("C11", checks_lists.entries_are_valid),
    ("C17", checks_lists.options_agree),
    ("C18", checks_lists.nothing_is_sent_twice),
    ("C9", checks_lists.two_streams_get_the_list),
    ("C14", checks_calls.allocate_behaves),
    ("C15", checks_calls.preferences_are_right),
    ("C16", checks_calls.pre_start_behaves),
    ("C22", checks_calls.large_requests_are_taken),
    ("C2", checks_life.kubelet_restarts),
    ("C6", checks_life.stream_is_lost),
    ("C5", checks_life.socket_is_removed),
    ("C4", checks_life.kubelet_is_absent),
    ("C21", checks_life.restart_keeps_answers),
    ("C19", checks_life.sigterm_ends_it),
)


async def judge(command: str, profile: Profile, patience: float) -> AsyncIterator[Verdict]:
    """Yield a verdict for every rule. Each is judged on a plugin that lists its devices."""
    async with opened(command, profile, patience) as stage:
        usable = True
        for number, check in _CHECKS:
            if not usable:
                reason = "the plugin does not come to serve anything"
                yield Verdict(number, profile.value, "not judged", reason)
                continue
            verdict = await _judged(number, check, stage)
            usable = not (number == "C1" and verdict.outcome == "broken")
            yield verdict
            if verdict.outcome == "broken" and usable and number != "C19":
                await _mended(stage)


async def _judged(number: str, check: Check, stage: Stage) -> Verdict:
    profile = stage.profile.value
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await stage.settled()
            seconds = await check(stage)
    except Broken as broken:
        return Verdict(number, profile, "broken", str(broken))
    except NotJudgedError as reason:
        return Verdict(number, profile, "not judged", str(reason))
    except TimeoutError:
        return Verdict(number, profile, "broken", f"no end within {_CHECK_SECONDS:g} s")
    except (grpc.aio.AioRpcError, OSError, StopAsyncIteration) as error:
        text = error.details() if isinstance(error, grpc.aio.AioRpcError) else repr(error)
        return Verdict(number, profile, "broken", text or "the call fails")
    return Verdict(number, profile, "held", "", seconds)


async def _mended(stage: Stage) -> None:
    """Start kubelet and plugin anew, so that one broken rule does not break the next."""
    if stage.plugin is None:
        return
    await stage.plugin.kill()
    await stage.kubelet.stop(unlink=True)
    await stage.kubelet.start()
    stage.kubelet.journal.events.clear()
    await stage.plugin.start()
    try:
        await stage.listed()
    except Broken:
        return
