"""The two threads that speak to a driver, so that a call that hangs holds up neither loop nor exit.

They are daemons: the end of the process does not wait for them. Only one pair at a time has the
driver; one that hangs keeps it, and the next waits.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from nodeplug_nvidia_gpu.driver import Driver, DriverError
from nodeplug_nvidia_gpu.facts import Event, Gpu, Readings
from nodeplug_nvidia_gpu.looking import Looker
from nodeplug_nvidia_gpu.surroundings import Surroundings, Surveyor
from nodeplug_nvidia_gpu.view import View

_log = logging.getLogger("nodeplug.nvidia_gpu")

# The library, as well as its one copy of the driver's state, belongs to the whole process.
_IN_USE: Final = threading.Lock()
# How soon a thread notices that it is to end.
PATIENCE_SECONDS: Final = 0.5
_SURVEY_EVERY: Final = 15
_HASTE_SECONDS: Final = 0.02


class Audience(Protocol):
    """Who is told, on the event loop."""

    @property
    def healing(self) -> bool:
        """Whether a look that shows nothing new is news all the same; asked by any thread."""
        ...

    def see(self, view: View, around: Surroundings) -> None:
        """Take what a look has shown."""
        ...

    def hear(self, event: Event) -> None:
        """Take what the driver told of."""
        ...

    def fail(self, error: Exception) -> None:
        """Hear that a thread has ended by an error that nobody expected."""
        ...


class _Request(NamedTuple):
    answer: asyncio.Future[Mapping[str, Readings]]
    gpus: Sequence[Gpu]


class Threads:
    """Looks and listens, from `start` to `stop`; tells on the event loop."""

    def __init__(
        self,
        driver: Driver,
        surveyor: Surveyor,
        audience: Audience,
        poll_seconds: float,
    ) -> None:
        self._driver = driver
        self._surveyor = surveyor
        self._looker = Looker(driver, surveyor.plugged, self.look)
        self._poll_seconds = poll_seconds
        self._audience = audience
        self._wanted = threading.Event()
        self._asked: _Request | None = None
        self._stopped = threading.Event()
        self._loop = asyncio.get_running_loop()

    def start(self, known: View | None) -> None:
        """Begin to look; what was seen before is known."""
        if known is not None:
            self._looker.remember(known)
        threading.Thread(target=self._run, name="nvidia-look", daemon=True).start()

    def look(self) -> None:
        """Ask for a look without delay."""
        self._wanted.set()

    async def measure(self, gpus: Sequence[Gpu]) -> Mapping[str, Readings]:
        """Have the thread that looks measure GPUs between two looks; wait as long as it takes.

        Who asks meanwhile gets the same answer.
        """
        if self._asked is None:
            self._asked = _Request(self._loop.create_future(), gpus)
            self._wanted.set()
        return await asyncio.shield(self._asked.answer)

    def stop(self) -> None:
        """Tell the threads to end; do not wait for them."""
        self._stopped.set()
        self._wanted.set()

    def _run(self) -> None:
        while not _IN_USE.acquire(timeout=PATIENCE_SECONDS):
            if self._stopped.is_set():
                return
        try:
            threading.Thread(target=self._listen, name="nvidia-listen", daemon=True).start()
            self._look_repeatedly()
        except Exception as error:  # noqa: BLE001 - told, and raised where the backend runs
            self._post(self._audience.fail, error)
        finally:
            self._stopped.set()
            self._looker.close()
            _IN_USE.release()

    def _look_repeatedly(self) -> None:
        last: tuple[View, Surroundings] | None = None
        looks = 0
        while not self._stopped.is_set():
            asked = self._wanted.is_set()
            self._wanted.clear()
            if (request := self._asked) is not None:
                self._post(self._answer, request, self._looker.measure(request.gpus))
            view = self._looker.look()
            # The surroundings are announced by the kernel, or change with the GPUs, mostly.
            if last is None or asked or view != last[0] or looks % _SURVEY_EVERY == 0:
                seen = view, self._surveyor.look(view.gpus)
            if seen != last or self._audience.healing:
                self._post(self._audience.see, *seen)
            last, looks = seen, looks + 1
            verdict = self._looker.next_verdict
            self._wanted.wait(
                min(self._poll_seconds, self._poll_seconds if verdict is None else verdict)
            )

    def _answer(self, request: _Request, readings: Mapping[str, Readings]) -> None:
        self._asked = None
        if not request.answer.done():
            request.answer.set_result(readings)

    def _listen(self) -> None:
        while not self._stopped.is_set():
            try:
                self._hear()
            except DriverError as error:
                _log.debug("no event to be had", extra={"nodeplug": {"error": str(error)}})
                self._wanted.set()
                self._stopped.wait(PATIENCE_SECONDS)
            except Exception as error:  # noqa: BLE001 - as above
                self._post(self._audience.fail, error)
                return

    def _hear(self) -> None:
        began = time.monotonic()
        event = self._driver.event(PATIENCE_SECONDS)
        if event is not None:
            self._post(self._audience.hear, event)
        elif time.monotonic() - began < _HASTE_SECONDS:  # a library that does not wait
            self._stopped.wait(_HASTE_SECONDS)

    def _post(self, tell: Callable[..., None], *facts: object) -> None:
        try:
            self._loop.call_soon_threadsafe(self._tell, tell, *facts)
        except RuntimeError:  # the loop has been closed
            self._stopped.set()

    def _tell(self, tell: Callable[..., None], *facts: object) -> None:
        try:
            tell(*facts)
        except Exception as error:  # noqa: BLE001 - as above; the loop would only log it
            self._audience.fail(error)
