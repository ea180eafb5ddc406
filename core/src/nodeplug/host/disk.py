"""A directory whose disk may hang."""

from collections.abc import Callable
from typing import Final, TypeVar, TypeVarTuple

from nodeplug.host.calls import Worker
from nodeplug.host.fallbacks import fall_back, forget, recover
from nodeplug.host.lane import Lane

T = TypeVar("T")
Args = TypeVarTuple("Args")

# A disk that takes longer is as good as none.
_SECONDS: Final = 5.0
# Nobody waits longer for what is only tidied up.
_TIDY_SECONDS: Final = 1.0


class Disk:
    """Blocking calls to one directory, one after another, off the event loop.

    As long as it does not answer, each raises TimeoutError, the first after some seconds, the
    others at once, and `fallbacks` tells of it by the `name`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._worker = Worker()
        self._lane = Lane(self._worker)

    async def call(self, function: Callable[[*Args], T], *args: *Args) -> T:
        """Return what the function returns, or raise what it raises."""
        try:
            result = await self._lane.call(function, *args, timeout=_SECONDS)
        except TimeoutError:
            fall_back(self._name, "the disk does not answer", "what was known of it holds")
            raise
        except RuntimeError as error:  # there are too many threads
            fall_back(self._name, "the disk cannot be asked", str(error))
            raise TimeoutError(str(error)) from error
        recover(self._name)
        return result

    async def ask(self, otherwise: T, function: Callable[[*Args], T], *args: *Args) -> T:
        """Return what the function returns, or something else while the disk does not answer."""
        try:
            return await self.call(function, *args)
        except TimeoutError:
            return otherwise

    async def tidy(self, function: Callable[[*Args], object], *args: *Args) -> None:
        """Have something tidied up: now, or else as soon as the disk answers."""
        try:
            await self._lane.see_to(function, *args, timeout=_TIDY_SECONDS)
        except RuntimeError as error:  # there are too many threads
            fall_back(self._name, "the disk cannot be asked", str(error))

    def close(self) -> None:
        """Tell nothing of it any more, and keep nothing for calls."""
        forget(self._name)
        self._worker.close()
