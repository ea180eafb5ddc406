"""Tests of seconds."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from nodeplug.testing.patience import slowness

T = TypeVar("T", bound=Callable[..., object])


def timed(test: T) -> T:
    """Give a test three attempts, and no other test beside it.

    A limit in seconds judges the machine too, which may stand still for a moment; not three times.
    """
    marked: T = pytest.mark.alone(pytest.mark.flaky(reruns=2)(test))
    return marked


def on_this_machine(seconds: float) -> float:
    """Return how long what takes so many seconds on an idle machine may take on this one, now."""
    return seconds * slowness()
