"""Parts of the agent that go on, whatever is raised in them."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from nodeplug.host.fallbacks import fall_back, fallbacks, recover
from nodeplug.values.errors import KubeletDirectoryError

_PAUSE_SECONDS = 5.0
# A part that has run for so long has got over it.
_SOUND_SECONDS = 60.0

_log = logging.getLogger("nodeplug.supervisor")


async def kept_up(
    part: str, run: Callable[[], Coroutine[Any, Any, None]], pause: float = _PAUSE_SECONDS
) -> None:
    """Run a part, and again when it fails, which is told as a fallback.

    Raises KubeletDirectoryError: that is for another start.
    """
    while True:
        sound = asyncio.get_running_loop().call_later(_SOUND_SECONDS, recover, part)
        try:
            return await run()
        except Exception as error:
            if _is_about_the_directory(error):
                raise
            if part not in fallbacks():
                _log.exception("a part of the agent failed", extra={"nodeplug": {"part": part}})
            fall_back(part, "failed, is tried again", repr(error))
        finally:
            sound.cancel()
        await asyncio.sleep(pause)


def _is_about_the_directory(error: Exception) -> bool:
    if isinstance(error, ExceptionGroup):
        return error.subgroup(KubeletDirectoryError) is not None
    return isinstance(error, KubeletDirectoryError)
