"""What those outside do to the agent: on its port, by the API server, by the node's annotation."""

from functools import partial

from chaos.faults import Fault, device_is_lost_or_recovers
from chaos.outside import Outside
from chaos.world import World
from support.bombs import BOMBS
from support.hostile import KINDS, crowd

# Most of it is not enough for Python's own start, or for TLS.
_LEAST_KIBIBYTES, _MOST_KIBIBYTES = 1_000, 30_000
_FEWEST_CLIENTS, _MOST_CLIENTS = 10, 300
_SECONDS = 20.0
_TAKEN = "annotation taken over"


async def clients_are_hostile(world: World) -> None:
    """Have many of one kind; the agent lives and serves while they are there."""
    outside = _of(world)
    await outside.watch.open()
    kind, number = world.dice.choice(KINDS), world.dice.randint(_FEWEST_CLIENTS, _MOST_CLIENTS)
    async with crowd(outside.watch.port, kind, number):
        await outside.is_alive()
        await _serves(world)
        await outside.is_alive()


async def annotation_is_a_bomb(world: World) -> None:
    """Have it refused with a line in the log, and what is right after it taken over."""
    bomb = world.dice.choice(list(BOMBS.values()))
    for value, line in ((bomb, "annotation refused"), (None, _TAKEN)):
        missing = partial(_not_logged, world, line, _logged(world, line))
        _of(world).annotate(value)
        await _serves(world)
        await world.written(missing, _SECONDS)


async def helpers_have_no_memory(world: World) -> None:
    """Leave too little for the one that follows and those that tell."""
    outside = _of(world)
    outside.give_memory(world.dice.randint(_LEAST_KIBIBYTES, _MOST_KIBIBYTES))
    outside.server.end_watches()
    await _serves(world)
    outside.give_memory()
    for value in ("[]", None):
        missing = partial(_not_logged, world, _TAKEN, _logged(world, _TAKEN))
        outside.annotate(value)
        await world.written(missing, _SECONDS)


async def api_server_is_of_no_use(world: World) -> None:
    """Let it refuse, or say nothing at all."""
    server = _of(world).server
    if world.dice.random() < 0.5:
        server.forbid = True
    else:
        server.release.clear()
    server.end_watches()
    await _serves(world)
    server.forbid = False
    server.release.set()


async def _serves(world: World) -> None:
    await device_is_lost_or_recovers(world)
    await world.settled()
    await world.admit(world.dice.choice(world.truth.resources()))


def _not_logged(world: World, line: str, before: int) -> list[str]:
    return [] if _logged(world, line) > before else [line]


def _logged(world: World, line: str) -> int:
    return world.agent.log.read_text().count(line)


def _of(world: World) -> Outside:
    assert world.outside is not None
    return world.outside


OUTSIDE = (
    Fault(4, clients_are_hostile),
    Fault(2, annotation_is_a_bomb),
    Fault(1, helpers_have_no_memory),
    Fault(1, api_server_is_of_no_use),
)
