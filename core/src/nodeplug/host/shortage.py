"""A process that can open nothing sees nothing: that says nothing of the host."""

import errno

_OURS = {errno.EMFILE, errno.ENFILE}


class ShortageError(Exception):
    """There are no file descriptors left: what could not be opened may well be there.

    No OSError, so that nobody takes it for news of what was looked at.
    """


def refuse_shortage(error: Exception) -> None:
    """Raise ShortageError where this error tells of this process or machine, and not of a file."""
    if getattr(error, "errno", None) in _OURS:
        raise ShortageError(str(error)) from error
