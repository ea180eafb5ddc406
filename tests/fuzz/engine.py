"""Feeding spoilt input to whatever reads foreign bytes."""

import copy
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

# What takes microseconds; a busy machine gets its share.
LONGEST_SECONDS = 5.0

_ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1 << 70, 1e308, "", " ", "\0", "\n", "../../etc", "a" * 5000),
    *(
        "[",
        "{x}",
        "{0}",
        "%s",
        "*",
        "**",
        "(",
        "0x",
        "-",
        "::",
        "/",
        "é\u202e",
        [],
        {},
        [[]],
        {"": 0},
    ),
)

Feed = Callable[[bytes], str]


class Target(NamedTuple):
    """A reader: spoilt inputs for ever, and what feeds one and says how it went.

    `feed` lets through what must not happen.
    """

    name: str
    inputs: Callable[[random.Random], Iterator[bytes]]
    feed: Callable[[], AbstractContextManager[Feed]]
    longest_seconds: float = LONGEST_SECONDS


def run(target: Target, count: int, seed: int) -> Counter[str]:
    """Feed so many inputs; return how often each thing was said.

    AssertionError names the number of the input: with the seed it can be made again.
    """
    outcomes: Counter[str] = Counter()
    inputs = target.inputs(random.Random(seed))
    with target.feed() as feed:
        for number, data in zip(range(count), inputs, strict=False):
            started = time.process_time()
            try:
                outcomes[feed(data)] += 1
            except Exception as error:
                where = f"{target.name}, seed {seed}, input {number}"
                raise AssertionError(f"{where}: {error!r}: {data[:300]!r}") from error
            slow = f"{target.name}, seed {seed}, input {number}: slow"
            assert time.process_time() - started < target.longest_seconds, slow
    return outcomes


def refusal(error: Exception) -> str:
    """Return what an error says in general; it must be fit for a log line."""
    text = str(error)
    assert text.isprintable(), repr(text)
    return re.sub(r"""['"`].*|\d+|:.*""", "", text)[:60]


def spoilt(document: Any, dice: random.Random) -> Any:
    """Return a copy of a document with one to three odd places."""
    whole = [copy.deepcopy(document)]
    for _ in range(dice.randint(1, 3)):
        container, key = dice.choice(list(_places(whole)))
        _spoil(container, key, dice)
    return whole[0]


def _places(container: Any) -> Iterator[tuple[Any, Any]]:
    keys = container if isinstance(container, dict) else range(len(container))
    for key in list(keys):
        yield container, key
        if isinstance(container[key], dict | list):
            yield from _places(container[key])


def _spoil(container: Any, key: Any, dice: random.Random) -> None:
    match dice.randrange(4):
        case 0 if isinstance(container, dict):
            del container[key]
        case 1 if isinstance(container, dict):
            container[str(dice.choice(_ODD))] = container.pop(key)
        case 2 if isinstance(container[key], list):
            container[key] = container[key] * 2
        case _:
            container[key] = copy.deepcopy(dice.choice(_ODD))
