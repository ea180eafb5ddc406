"""What happens to the hardware behind ids: it is shared, renamed, doubled, exchanged, hidden."""

import asyncio
from contextlib import suppress

from chaos.faults import Fault
from chaos.hardware import TWINS
from chaos.truth import DOMAINS, Unit
from chaos.world import RESTART_SECONDS, World
from nodeplug.testing import AdmissionError


async def replicas_change(world: World) -> None:
    """Share a device that somebody may have alone, or no longer share it."""
    resource = world.dice.choice(world.shareable())
    shared = any((r["resource"], r.get("replicas")) == (resource, 2) for r in world.rules)
    world.rules = [{"resource": resource, "replicas": 1 if shared else 2}]
    world.configure()


async def resource_is_renamed_by_a_restart(world: World) -> None:
    """Start an agent that does not know what the one before called it."""
    await world.agent.terminate()
    [domain] = {*DOMAINS} - {world.domain}
    world.sections["awkward"] = {"domain": domain}
    world.configure()
    await world.agent.start()
    await world.settled(RESTART_SECONDS)


async def twin_comes_or_goes(world: World) -> None:
    """Another node of the same number, or a link, of another backend."""
    nodes = world.hardware.nodes
    name, board = world.dice.choice(TWINS), world.dice.choice(nodes.linkable())
    # Of two links to one node either may give it its id, which then stays: one is enough.
    make = world.dice.choice((nodes.copy, nodes.copy if nodes.links() else nodes.link))
    if name in nodes.twins():
        nodes.remove(name)
    else:
        make(name, board)


async def link_moves(world: World) -> None:
    """Keep the id, and let the device be another one."""
    nodes = world.hardware.nodes
    missing = [name for name in TWINS if name not in nodes.twins()]
    names = nodes.links() or missing
    if names:
        nodes.link(world.dice.choice(names), world.dice.choice(nodes.linkable()))


async def mode_changes(world: World) -> None:
    """Give ports alone, or all of a card's region together.

    An agent that starts cannot know of a card without any function loaded that it is sick.
    """
    hardware = world.hardware
    [vendor] = [each for each in world.vendors if each.resource in hardware.cards.names]
    if vendor.lost:
        await asyncio.to_thread(vendor.recover)
    vendor.steady = hardware.cards.mode == "af"
    hardware.cards.mode = "region" if hardware.cards.mode == "af" else "af"
    section = world.sections["intel_fpga"]
    world.sections["intel_fpga"] = {**section, "mode": hardware.cards.mode}
    world.configure()
    await world.settled(RESTART_SECONDS)


async def functions_are_made_or_removed(world: World) -> None:
    """Let an adapter be one device or several."""
    await asyncio.to_thread(world.hardware.adapter.toggle)


async def evidence_is_late(world: World) -> None:
    """Nobody tells which pods have what; new ones may be refused, but nothing is given twice."""
    socket = world.agent.pod_resources
    away = socket.with_suffix(".away")
    socket.rename(away)
    try:
        await world.end_pod()
        await _shake(world)
        await asyncio.sleep(world.dice.uniform(0, 2))
    finally:
        away.rename(socket)
    await world.settled(RESTART_SECONDS)


async def evidence_is_missing_at_a_start(world: World) -> None:
    """All that is known then is what is written down."""
    socket = world.agent.pod_resources
    away = socket.with_suffix(".away")
    await world.agent.kill()
    socket.rename(away)
    try:
        await world.agent.start()
        await asyncio.sleep(world.dice.uniform(0, 2))
        await _shake(world)
    finally:
        away.rename(socket)
    await world.settled(RESTART_SECONDS)


async def pod_is_deleted_by_force(world: World) -> None:
    """Its containers live on, for a time."""
    await world.delete_by_force()
    await world.settled(RESTART_SECONDS)
    await _shake(world)
    if world.dice.random() < 0.7:
        world.end_ghosts()
        await world.settled(RESTART_SECONDS)


async def node_reboots(world: World) -> None:
    """Numbers are exchanged; the kubelet replays its answers, and admits the same pods (R45)."""
    await _end_what_has_become_something_else(world)
    await world.kubelet.lose_power()
    await world.agent.kill()
    world.end_ghosts()
    hardware = world.hardware
    hardware.boot()
    hardware.nodes.swap(*world.dice.sample(hardware.nodes.boards, 2))
    world.look_again()
    await world.kubelet.start(ready=False)
    await world.agent.start()
    await world.kubelet.until(lambda: _ready(world), RESTART_SECONDS)
    staying = {held.pod for held in world.held} - _lost(world)
    rejected = await world.kubelet.readmit(running=False)
    world.forget_rejected(rejected, staying)
    await world.settled(RESTART_SECONDS)


def _lost(world: World) -> set[str]:
    """Return the pods some of whose devices are not there any more."""
    return {held.pod for held in world.held if not _is_there(world, held.unit)}


def _is_there(world: World, unit: Unit) -> bool:
    return unit.id in world.truth.allowed(unit.resource)


def _ready(world: World) -> bool:
    """Whether pods that are admitted again find their devices."""
    units = [held.unit for held in world.held if _is_there(world, held.unit)]
    return all(unit.id in world.truth.shown(unit.resource) for unit in units)


async def _end_what_has_become_something_else(world: World) -> None:
    """Leave out what would start anew with somebody else's device."""
    changed = {held.pod for held in world.held if world.truth.is_doubtful(held)}
    for pod, _ in [each for each in world.pods if each[0].uid in changed]:
        await world.end_pod(pod)


async def _shake(world: World) -> None:
    """Let pods ask for anything; those that are refused are no fault."""
    await world.dice.choice((twin_comes_or_goes, link_moves, replicas_change))(world)
    for resource in world.dice.sample(world.truth.resources(), 3):
        with suppress(AdmissionError):
            await world.admit_once(resource)


HARDWARE = (
    Fault(8, replicas_change),
    Fault(12, twin_comes_or_goes),
    Fault(8, link_moves),
    Fault(4, mode_changes),
    Fault(6, functions_are_made_or_removed),
    Fault(2, evidence_is_late),
    Fault(4, pod_is_deleted_by_force),
)
# Those that replace the agent.
HARDWARE_RESTARTS = (
    Fault(0.5, resource_is_renamed_by_a_restart),
    Fault(0.5, evidence_is_missing_at_a_start),
    Fault(0.5, node_reboots),
)
