"""Properties that are read once."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """A property that is read when it is asked for first, and then kept.

    That of functools has one lock for all objects up to Python 3.11: whoever waits for a device
    that does not answer would hold up those who read of any other.
    """

    def __init__(self, read: Callable[[Any], T]) -> None:
        self._read = read

    def __get__(self, thing: Any, owner: type | None = None) -> T:
        value: T = self._read(thing)
        thing.__dict__[self._read.__name__] = value
        return value
