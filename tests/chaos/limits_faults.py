"""What happens to a node that has nothing left: no descriptors, no watches, no room.

Whatever is refused meanwhile, nothing is given twice, and the agent does without: it lives, and all
is as before when there is something again. What it does without for long it says.
"""

import asyncio
from contextlib import suppress

from chaos.faults import (
    Fault,
    backend_crashes,
    board_changes,
    device_is_lost_or_recovers,
    kubelet_restarts,
    link_is_deleted,
    stream_is_killed,
)
from chaos.limits import few_descriptors, lift, no_more_watches, own_limits, without
from chaos.world import RESTART_SECONDS, BrokenError, World
from nodeplug.testing import AdmissionError
from nodeplug.testing.patience import patience

_MOST_SPARE = 8
_NOT_WATCHED = "directory not watched"
_NOT_WRITTEN_DOWN = "is not written down for other agents"
_NOT_UPDATED = "its devices or files could not be updated"


async def agent_has_no_descriptors(world: World) -> None:
    """Leave it none to open a file, be called anew, or start a process."""
    with few_descriptors(world.agent.pid, world.dice.randint(0, _MOST_SPARE)):
        for name in world.dice.sample(world.truth.resources(), 3):
            with suppress(AdmissionError):
                await world.admit_once(name)
        for _ in range(world.dice.randint(1, 3)):
            await world.dice.choice(
                (
                    kubelet_restarts,
                    stream_is_killed,
                    link_is_deleted,
                    device_is_lost_or_recovers,
                    board_changes,
                    _backend_fails,
                )
            )(world)
        await asyncio.sleep(world.dice.uniform(0, 2))
        _lives(world)
    await world.settled(RESTART_SECONDS)


async def agent_has_no_more_watches(world: World) -> None:
    """Have it poll what it begins to look at."""
    with no_more_watches(world.agent.pid):
        await backend_crashes(world)
        await device_is_lost_or_recovers(world)
        await world.settled(RESTART_SECONDS)
        await kubelet_restarts(world)
        await board_changes(world)
        await world.settled(RESTART_SECONDS)
        _lives(world)
    await _says(world, _NOT_WATCHED, wanted=False)


async def agent_starts_without_watches(world: World) -> None:
    """Have it poll everything, and say so, until there are watches."""
    await world.agent.terminate()
    world.agent.before = without(world.dice.choice(("instances", "watches")))
    await world.agent.start()
    world.agent.before = own_limits()
    await world.settled(RESTART_SECONDS)
    await _says(world, _NOT_WATCHED)
    await kubelet_restarts(world)
    await device_is_lost_or_recovers(world)
    await board_changes(world)
    await world.settled(RESTART_SECONDS)
    lift(world.agent.pid)
    await _says(world, _NOT_WATCHED, wanted=False)


async def ledger_has_no_room(world: World) -> None:
    """Let the kubelet alone know what is given; a new agent learns it from there."""
    with world.rooms["ledger"].full(of_files=True):
        for _ in range(3):
            await world.end_pod()
            await world.admit(world.dice.choice(world.truth.resources()))
        await world.settled()
        if world.dice.random() < 0.5:  # what there is has room in its last block; a new file none
            await world.agent.kill()
            await world.agent.start()
            await world.settled(RESTART_SECONDS)
            await world.end_pod()
            await world.settled()
            await world.admit(world.dice.choice(world.truth.resources()))
            await _says(world, _NOT_WRITTEN_DOWN)
    await world.admit(world.dice.choice(world.truth.resources()))
    await _says(world, _NOT_WRITTEN_DOWN, wanted=False)


async def labels_have_no_room(world: World) -> None:
    """Have it say so, and serve devices as before."""
    with world.rooms["features"].full(of_files=True):
        board = f"awk-board-{world.dice.randrange(world.state.boards)}"
        world.set(missing=tuple(sorted({*world.state.missing} ^ {board})))
        await world.settled(RESTART_SECONDS)
        await _says(world, _NOT_UPDATED)
        await world.admit(world.dice.choice(world.truth.resources()))
    await _says(world, _NOT_UPDATED, wanted=False)


async def _backend_fails(world: World) -> None:
    world.set(crash=True)
    await asyncio.sleep(world.dice.uniform(0, 0.2))
    world.set(crash=False)


async def _says(world: World, text: str, *, wanted: bool = True) -> None:
    """Wait until readiness says so, or no longer does."""
    page = ""
    try:
        async with patience(RESTART_SECONDS):
            while not page or (text in page) != wanted:
                page = await _page(world)
    except TimeoutError:
        raise BrokenError(f"readiness says {page!r}; {text!r} in it: not {wanted}") from None


async def _page(world: World) -> str:
    assert world.outside is not None
    await world.outside.watch.open()
    with suppress(OSError, IndexError):  # cut off, for others ask
        return (await world.outside.watch.get("/readyz"))[1]
    return ""


def _lives(world: World) -> None:
    if not world.agent.running:
        raise BrokenError("the agent has ended")


LIMITS = (Fault(2, agent_has_no_descriptors),)
# What needs limits of the agent's own.
WATCHES = (
    Fault(1, agent_has_no_more_watches),
    Fault(0.4, agent_starts_without_watches),
)
# What needs a mount of our own.
ROOMS = (
    Fault(1, ledger_has_no_room),
    Fault(1, labels_have_no_room),
)
