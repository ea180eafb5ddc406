"""Things of the host that are no devices, for something about them is odd."""

import logging
from collections.abc import Mapping
from itertools import islice
from types import TracebackType
from typing import Final

from nodeplug.host.shortage import ShortageError
from nodeplug.values.errors import NodeplugError, one_line

_REASON_LIMIT: Final = 200
# A driver that goes odd takes all its devices along; the first lines tell enough.
_LOGGED: Final = 10


class Omissions(dict[str, str]):
    """Why things are no devices, by name. A look begins with an empty one."""

    def alone(self, name: str) -> "_Alone":
        """Make one thing within a `with` block: whatever it raises leaves out that thing alone.

        But for ShortageError, which is not about that thing.
        """
        return _Alone(self, name)

    def tell(self, log: logging.Logger, before: Mapping[str, str]) -> None:
        """Log what was not left out before, or for another reason."""
        for name, reason in islice(sorted(self.items() - before.items()), _LOGGED):
            facts = {"name": one_line(name), "reason": reason}
            log.warning("not served", extra={"nodeplug": facts})


class _Alone:
    """The block in which one thing is made. A class, for there are thousands of them in a look."""

    __slots__ = ("_name", "_omissions")

    def __init__(self, omissions: Omissions, name: str) -> None:
        self._omissions = omissions
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception) or isinstance(error, ShortageError):
            return False
        text = str(error)
        if not isinstance(error, NodeplugError):
            text = f"{type(error).__name__}: {text}"
        self._omissions[self._name] = one_line(text)[:_REASON_LIMIT]
        return True
