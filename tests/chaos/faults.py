"""What happens to nodes: each fault is done, and undone where it would not pass by itself."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from chaos.truth import VendorTruth
from chaos.world import RESTART_SECONDS, World
from nodeplug.host.files import remove_quietly

Action = Callable[[World], Awaitable[None]]


class Fault(NamedTuple):
    """A fault with its weight: how often it happens beside the others."""

    weight: float
    act: Action


async def kubelet_restarts(world: World) -> None:
    world.forget(await world.kubelet.restart())


async def kubelet_is_absent(world: World) -> None:
    await world.kubelet.stop(unlink=world.dice.random() < 0.5)
    await asyncio.sleep(world.dice.uniform(0, 0.05))
    await kubelet_restarts(world)


async def stream_is_killed(world: World) -> None:
    await world.kubelet.drop_streams(world.dice.choice([v.resource for v in world.vendors]))


async def link_is_deleted(world: World) -> None:
    _remove_one(world, "[0-9]*")


async def socket_is_deleted(world: World) -> None:
    _remove_one(world, ".*.sock")


def _remove_one(world: World, pattern: str) -> None:
    home = world.agent.plugin_dir / ".nodeplug"
    sockets = sorted(path for path in home.glob(f"*/{pattern}") if path.is_socket())
    if sockets:
        remove_quietly(world.dice.choice(sockets))


async def device_is_lost_or_recovers(world: World) -> None:
    _turn(world.dice.choice(world.vendors))


def _turn(vendor: VendorTruth) -> None:
    if vendor.lost:
        vendor.recover()
    else:
        vendor.lose()


async def board_changes(world: World) -> None:
    kind = world.dice.choice(("sick", "missing", "renamed"))
    board = f"awk-board-{world.dice.randrange(world.state.boards)}"
    before = {*getattr(world.state, kind)}
    world.set(**{kind: tuple(sorted(before ^ {board}))})


async def many_changes_at_once(world: World) -> None:
    for _ in range(world.dice.randint(2, 8)):
        await device_is_lost_or_recovers(world)
        await board_changes(world)


async def driver_hangs(world: World) -> None:
    """Hang one; the others serve on meanwhile."""
    world.set(hang=True)
    await world.admit(world.dice.choice(world.vendors).resource)
    world.set(hang=False)


async def backend_crashes(world: World) -> None:
    world.set(crash=True)
    await world.admit(world.dice.choice(world.vendors).resource)
    world.set(crash=False)


async def configuration_is_spoilt(world: World) -> None:
    """Spoil it; the last good one stays in force."""
    text = world.dice.choice(("{", "kubelet: 5", '{"offers": [{"resource": 1}]}', "\0"))
    world.agent.config.write_text(text)
    await asyncio.sleep(world.dice.uniform(0, 0.2))
    world.configure()


async def offers_change(world: World) -> None:
    resource = world.dice.choice(world.shareable())
    policy = world.dice.choice(("packed", "spread", "aligned"))
    inject = world.dice.choice(("devices", "cdi"))
    world.rules = [{"resource": resource, "policy": policy, "inject": inject}]
    world.configure()


async def events_are_garbage(world: World) -> None:
    """And so many that the socket's buffer overflows."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(OSError):
        sender.setblocking(False)
        sender.connect(str(world.agent.host_root / "uevents.sock"))
        for _ in range(500):
            sender.send(world.dice.randbytes(world.dice.randint(0, 200)))


async def file_system_hangs(world: World) -> None:
    """Hang one that devices are on; all others are followed and given out meanwhile."""
    assert world.files is not None
    world.files.hang()
    world.hanging = True
    try:
        for _ in range(world.dice.randint(1, 3)):
            await device_is_lost_or_recovers(world)
            await world.settled()
        await world.admit(world.dice.choice(world.vendors).resource)
    finally:
        world.files.go_on()
        world.hanging = False


async def disk_is_full(world: World) -> None:
    """No byte is free; what nothing need be written for goes on."""
    assert world.disks is not None
    await world.written(world.truth.missing_of_sick_boards, RESTART_SECONDS)
    happens = world.dice.choice((kubelet_restarts, stream_is_killed, link_is_deleted, _next_agent))
    with world.disks.full():
        await _fall_sick(world)
        await world.settled()
        await happens(world)
        await _fall_sick(world)
        await world.settled(RESTART_SECONDS)
        await many_changes_at_once(world)
    await _wait_for_room(world)


async def disk_has_no_room_for_files(world: World) -> None:
    """Neither for a socket or a link: what has both goes on."""
    assert world.disks is not None
    await world.written(world.truth.missing_of_sick_boards, RESTART_SECONDS)
    with world.disks.full(of_files=True):
        await world.dice.choice((stream_is_killed, link_is_deleted))(world)
        await _fall_sick(world)
        await world.settled()
        await world.dice.choice((many_changes_at_once, socket_is_deleted))(world)
    await _wait_for_room(world)


async def _fall_sick(world: World) -> None:
    """One that was there before needs no new file when it comes back; others might."""
    vendor = world.dice.choice([each for each in world.vendors if not each.lost] or [None])
    if vendor is not None:
        vendor.lose()
    sick = {*world.state.sick} ^ {f"awk-board-{world.dice.randrange(world.state.boards)}"}
    world.set(sick=tuple(sorted(sick)))


async def _next_agent(world: World) -> None:
    await world.agent.kill()
    await world.agent.start()


async def _wait_for_room(world: World) -> None:
    """Have the kubelet write its checkpoint, too."""
    await device_is_lost_or_recovers(world)
    await world.settled(RESTART_SECONDS)


async def agent_is_frozen(world: World) -> None:
    vendor, seconds = world.dice.choice(world.vendors), world.dice.uniform(0, 0.2)
    os.kill(world.agent.pid, signal.SIGSTOP)
    # A simulator's event waits for room where events of before have not been read yet.
    turning = asyncio.create_task(asyncio.to_thread(_turn, vendor))
    await asyncio.sleep(seconds)
    os.kill(world.agent.pid, signal.SIGCONT)
    await turning


async def agent_is_killed(world: World) -> None:
    await world.agent.kill()
    await device_is_lost_or_recovers(world)
    await world.agent.start()
    await world.settled(RESTART_SECONDS)


async def agent_is_ended_at_any_point(world: World) -> None:
    """During its start, too."""
    for _ in range(2):
        await world.agent.terminate()
        await world.agent.start()
        await asyncio.sleep(world.dice.uniform(0, 0.8))
    await world.settled(RESTART_SECONDS)


async def agent_starts_with_a_spoilt_file(world: World) -> None:
    """Start it with nothing usable; it runs with what worked last."""
    await world.agent.terminate()
    spoilt: dict[str, Mapping[str, object]] = {n: {"no": "such key"} for n in world.sections}
    good, world.sections = world.sections, spoilt
    world.agent = world.new_agent()
    world.sections = good
    world.configure()
    await world.agent.start()
    await world.settled(RESTART_SECONDS)
    await world.agent.terminate()
    world.agent = world.new_agent()
    world.configure()
    await world.agent.start()
    await world.settled(RESTART_SECONDS)


async def old_instance_ends_late(world: World) -> None:
    """As in a rolling update."""
    old, world.agent = world.agent, world.new_agent()
    world.configure()
    await world.agent.start()
    await asyncio.sleep(world.dice.uniform(0, 1.5))
    if world.dice.random() < 0.5:
        await old.kill()
    else:
        await old.terminate()
    await world.settled(RESTART_SECONDS)


LIVE = (
    Fault(8, kubelet_restarts),
    Fault(3, kubelet_is_absent),
    Fault(8, stream_is_killed),
    Fault(5, link_is_deleted),
    Fault(5, socket_is_deleted),
    Fault(30, device_is_lost_or_recovers),
    Fault(25, board_changes),
    Fault(5, many_changes_at_once),
    Fault(3, driver_hangs),
    Fault(0.5, backend_crashes),
    Fault(3, configuration_is_spoilt),
    Fault(3, offers_change),
    Fault(4, events_are_garbage),
    Fault(2, agent_is_frozen),
)
# What needs a file system of our own.
FILES = (Fault(2, file_system_hangs),)
# What needs a mount of our own.
DISK = (
    Fault(2, disk_is_full),
    Fault(1, disk_has_no_room_for_files),
)
# An agent that is replaced often would hide what grows.
RESTARTS = (
    Fault(0.4, agent_is_killed),
    Fault(0.3, agent_is_ended_at_any_point),
    Fault(0.1, agent_starts_with_a_spoilt_file),
    Fault(0.3, old_instance_ends_late),
)
