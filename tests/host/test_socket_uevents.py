"""Claims about the events of simulated hardware."""

import asyncio
import logging
import socket
import stat
from pathlib import Path

import pytest

from nodeplug.host import uevent_hub
from nodeplug.host.fallbacks import fallbacks
from nodeplug.host.socket_uevents import SocketUevents, send_uevent
from nodeplug.host.uevents import Resync, Uevent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "uevents"


def event(action: str, subsystem: str = "usb") -> Uevent:
    return Uevent(action, "/devices/x", subsystem, "", {})


def action_of(item: Uevent | Resync) -> str:
    assert isinstance(item, Uevent)
    return item.action


def send_raw(path: Path, data: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, str(path))


async def test_an_event_arrives(path: Path) -> None:
    """What a simulator sends is what a subscriber gets."""
    async with SocketUevents(path).subscribe() as events:
        send_uevent(path, event("add"))
        assert action_of(await anext(events)) == "add"


async def test_every_subscriber_gets_every_event(path: Path) -> None:
    """Two listeners share one socket and miss nothing."""
    source = SocketUevents(path)
    async with source.subscribe() as one, source.subscribe() as two:
        send_uevent(path, event("add"))
        assert await anext(one) == await anext(two)


async def test_a_subscriber_gets_only_its_subsystems(path: Path) -> None:
    """An event of another subsystem is not for it."""
    async with SocketUevents(path).subscribe({"tty"}) as events:
        send_uevent(path, event("add", "usb"))
        send_uevent(path, event("change", "tty"))
        assert action_of(await anext(events)) == "change"


async def test_the_socket_is_for_its_owner_only(path: Path) -> None:
    """Nobody else on the machine can feign hardware."""
    async with SocketUevents(path).subscribe():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_stale_socket_is_replaced(path: Path) -> None:
    """A socket left by a killed agent does not stop the next."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stale:
        stale.bind(str(path))
    async with SocketUevents(path).subscribe() as events:
        send_uevent(path, event("add"))
        assert action_of(await anext(events)) == "add"


async def test_a_source_can_be_subscribed_again(path: Path) -> None:
    """After the last has left, the next opens the socket anew."""
    source = SocketUevents(path)
    async with source.subscribe():
        pass
    async with source.subscribe() as events:
        send_uevent(path, event("add"))
        assert action_of(await anext(events)) == "add"


async def test_leaving_ends_the_iteration(path: Path) -> None:
    """An iterator that outlives its context ends instead of waiting for ever."""
    async with SocketUevents(path).subscribe() as events:
        pass
    assert [item async for item in events] == []


def test_sending_where_nobody_listens_does_nothing(path: Path) -> None:
    """Neither a missing socket nor one without owner is an error."""
    send_uevent(path, event("add"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stale:
        stale.bind(str(path))
    send_uevent(path, event("add"))
    assert path.exists()


@pytest.mark.parametrize("data", [b"", b"noise", b"add@nowhere\0", b"\xff" * 65536])
async def test_an_unreadable_datagram_is_a_resync(path: Path, data: bytes) -> None:
    """Whatever it was, it was lost: look again, and go on reading."""
    async with SocketUevents(path).subscribe() as events:
        send_raw(path, data)
        assert await anext(events) == Resync()
        send_uevent(path, event("add"))
        assert action_of(await anext(events)) == "add"


async def test_an_unreadable_datagram_is_logged(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says that something was lost."""
    with caplog.at_level(logging.WARNING, "nodeplug.host"):
        async with SocketUevents(path).subscribe() as events:
            send_raw(path, b"noise")
            await anext(events)
    assert [record.message for record in caplog.records] == ["kernel events lost"]


async def test_a_slow_subscriber_gets_one_resync_instead_of_a_backlog(path: Path) -> None:
    """More events than its queue holds become one Resync; what follows comes as usual."""
    source = SocketUevents(path)
    async with source.subscribe() as slow, source.subscribe() as quick:
        for _ in range(1025):
            send_uevent(path, event("change"))
            await anext(quick)
        send_uevent(path, event("add"))
        await anext(quick)
        first, second = await anext(slow), await anext(slow)
        assert (first, action_of(second)) == (Resync(), "add")


async def test_a_source_that_cannot_open_warns_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With two subscribers of a socket in a missing folder one warning says why."""
    source = SocketUevents(tmp_path / "missing/uevents")
    with caplog.at_level(logging.WARNING, "nodeplug.host"):
        async with source.subscribe(), source.subscribe():
            pass
    assert [record.message for record in caplog.records] == ["kernel events unavailable"]


async def test_a_source_that_cannot_open_tries_again_and_tells_to_look_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever comes, subscribers need not."""
    monkeypatch.setattr(uevent_hub, "_RETRY_SECONDS", 0.01)
    path = tmp_path / "late/uevents"
    async with SocketUevents(path).subscribe() as events:
        assert await anext(events) == Resync()
        assert "kernel events" in fallbacks()
        path.parent.mkdir()
        while fallbacks():  # noqa: ASYNC110 - it is told by a state
            await asyncio.sleep(0)
        send_uevent(path, event("add"))
        while isinstance(told := await anext(events), Resync):
            pass
        assert told.action == "add"


async def test_a_source_that_opens_later_serves_those_who_waited(tmp_path: Path) -> None:
    """When a later subscriber succeeds in opening, the earlier hear too."""
    path = tmp_path / "late/uevents"
    source = SocketUevents(path)
    async with source.subscribe() as early:
        path.parent.mkdir()
        async with source.subscribe():
            send_uevent(path, event("add"))
            assert action_of(await anext(early)) == "add"
