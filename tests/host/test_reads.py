"""A device that does not answer: who waits for it, and what is said of it."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from functools import partial

import pytest

from nodeplug.host.fallbacks import fallbacks
from nodeplug.host.reads import Answer, Question, Reads, Silence
from nodeplug.testing.patience import patience

UNREAD = "does not answer: value cannot be read"


class Devices:
    """Devices by name, each with a value; `silent` is set while one of them does not answer."""

    def __init__(self) -> None:
        self.values = {"sick": 1, "well": 1, "other": 1}
        self.asked: list[str] = []
        self.reads = Reads()
        self.answers = threading.Event()
        self.answers.set()
        self.answered = threading.Event()
        self.reads.wake = self.answered.set

    def look(self, *names: str) -> Mapping[str, Answer[int]]:
        wanted = names or tuple(self.values)
        with self.reads:
            return self.reads.ask(
                {name: Question(name, "value", partial(self._read, name)) for name in wanted}
            )

    def _read(self, name: str) -> int:
        self.asked.append(name)
        value = self.values[name]
        if name == "sick":
            self.answers.wait()
        return value


@pytest.fixture(name="devices")
def _devices() -> Iterator[Devices]:
    devices = Devices()
    yield devices
    devices.answers.set()


async def silenced(devices: Devices) -> None:
    """Look until the sick one is no longer trusted."""
    devices.answers.clear()
    devices.look()
    due = asyncio.Event()
    while (seconds := devices.reads.next_verdict) is not None:
        asyncio.get_running_loop().call_later(seconds, due.set)
        await due.wait()
        devices.look()


def test_what_answers_is_told(devices: Devices) -> None:
    """As it is now."""
    assert devices.look("well")["well"] == Answer(1, is_new=True)


def test_an_error_is_raised_to_who_wants_the_value(devices: Devices) -> None:
    """Others are not touched."""
    answers = devices.look("missing", "well")
    with pytest.raises(KeyError):
        answers["missing"].get()
    assert answers["well"].get() == 1


def test_what_a_device_said_last_stands_for_a_moment(devices: Devices) -> None:
    """It is no longer new, and the others are asked all the same."""
    devices.look()
    devices.answers.clear()
    devices.values["other"] = 2
    answers = devices.look()
    assert answers["sick"] == Answer(1)
    assert answers["other"] == Answer(2, is_new=True)


def test_one_that_never_answered_is_pending(devices: Devices) -> None:
    """Nothing is made up."""
    devices.look("well")
    devices.answers.clear()
    assert devices.look()["sick"] == Answer(pending=True)


async def test_one_that_stays_silent_is_in_trouble_with_what_it_said_last(
    devices: Devices,
) -> None:
    """After a second."""
    devices.look()
    await silenced(devices)
    assert devices.look()["sick"] == Answer(1, trouble=UNREAD)
    assert devices.reads.silent == {"sick": "value"}
    assert devices.reads.next_verdict is None


async def test_it_is_asked_once(devices: Devices) -> None:
    """However often a look asks for it; the threads that asked the others have gone."""
    await silenced(devices)
    for _ in range(5):
        devices.look()
    assert devices.asked.count("sick") == 1


async def answered(devices: Devices) -> None:
    """Let the sick one answer, and wait until it has."""
    devices.answers.set()
    async with patience(15):
        await asyncio.to_thread(devices.answered.wait)
    devices.answered.clear()


async def test_one_that_answers_late_is_asked_anew(devices: Devices) -> None:
    """Its answer may be from before the change that the look is for."""
    await silenced(devices)
    devices.values["sick"] = 2
    assert devices.reads.waiting == {"sick"}
    await answered(devices)
    assert devices.look()["sick"] == Answer(2, is_new=True)
    assert devices.reads.waiting == set()


async def test_one_that_is_always_late_is_not_asked_without_end(devices: Devices) -> None:
    """Its late answer is told; the second one in a row is believed."""
    await silenced(devices)
    await answered(devices)
    devices.answers.clear()
    assert devices.look()["sick"] == Answer(1, is_new=True)
    await answered(devices)
    assert devices.look()["sick"] == Answer(1, is_new=True)
    assert devices.asked.count("sick") == 2


async def test_one_that_nobody_means_any_more_is_not_silent(devices: Devices) -> None:
    """It was unplugged, say; nor is anything due for it."""
    devices.look()
    devices.answers.clear()
    devices.look()
    seconds = [devices.reads.next_verdict]
    devices.look("well")
    assert [each is None for each in [*seconds, devices.reads.next_verdict]] == [False, True]
    assert devices.reads.silent == {}


async def test_silence_is_told_until_it_ends(devices: Devices) -> None:
    """To whoever watches the agent."""
    looks = asyncio.Event()
    silence = Silence(devices.reads, "test ", looks.set)
    await silenced(devices)
    silence.tell()
    assert fallbacks() == {"test sick": "a device does not answer: value cannot be read"}
    devices.answers.set()
    async with patience(15):
        await looks.wait()
    devices.look()
    silence.tell()
    assert not fallbacks()
    silence.close()


async def test_a_look_is_asked_for_when_one_is_no_longer_trusted(devices: Devices) -> None:
    """No event of the kernel comes then."""
    looks = asyncio.Event()
    silence = Silence(devices.reads, "test ", looks.set)
    devices.look()
    devices.answers.clear()
    devices.look()
    silence.tell()
    async with patience(15):
        await looks.wait()
    assert devices.look()["sick"].trouble == UNREAD
    silence.close()


async def test_one_who_asks_no_more_leaves_no_fallback(devices: Devices) -> None:
    """Readiness would be degraded for ever."""
    silence = Silence(devices.reads, "test ", lambda: None)
    await silenced(devices)
    silence.tell()
    silence.close()
    assert not fallbacks()
