"""Looks at the driver again and again, and remembers what was seen."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import msgspec

from nodeplug_nvidia_gpu.asking import Asker
from nodeplug_nvidia_gpu.driver import (
    GPU_IS_LOST,
    NO_ANSWER,
    NO_PERMISSION,
    NONSENSE,
    Driver,
    DriverError,
)
from nodeplug_nvidia_gpu.facts import Gpu, Links, Pulse, Readings, Versions
from nodeplug_nvidia_gpu.links import links_between
from nodeplug_nvidia_gpu.naming import is_uuid
from nodeplug_nvidia_gpu.view import Conditions, View

# A driver is opened anew for GPUs that it does not find: first after so many looks, then rarer.
_FIRST_PATIENCE: Final = 5
_LONGEST_PATIENCE: Final = 150

# The driver does not tell of links that go up or down.
_LINKS_EVERY: Final = 20
# What another look at a GPU will show again.
_FOR_EVER: Final = frozenset({NO_PERMISSION, NONSENSE})
# NVIDIA's driver: GPUs have the minor numbers below that of /dev/nvidiactl.
_GPUS_LIMIT: Final = 255

Plugged = Callable[[str], bool]
"""Whether a PCI address is there."""


Answer = tuple[Gpu, Pulse] | DriverError
"""What a GPU says, or why it does not."""

Ask = Callable[[int], Answer]
"""Asks the GPU with an index."""


class Look:
    """One look at every GPU that the driver counts."""

    def __init__(self, driver: Driver, known: Mapping[str, Gpu], asker: Asker, ask: Ask) -> None:
        self._known = known
        self.gpus: dict[str, Gpu] = {}
        self.pulses: dict[str, Pulse] = {}
        self.failures: dict[int, DriverError] = {}
        self.silent: set[int] = set()
        questions = {n: partial(ask, n) for n in range(min(driver.count(), _GPUS_LIMIT))}
        for index, told in asker.ask("its health", questions).items():
            answer = told.get()
            if told.trouble or answer is None:
                self.silent.add(index)
                self.failures[index] = DriverError("it does not answer", NO_ANSWER)
            elif not isinstance(answer, DriverError):
                self._take(index, *answer)
            else:
                if answer.of_driver:
                    driver.count()  # raises likewise, unless it is this GPU alone
                self.failures[index] = answer

    def _take(self, index: int, gpu: Gpu, pulse: Pulse) -> None:
        if not is_uuid(gpu.uuid):
            self.failures[index] = DriverError(f"its UUID {gpu.uuid!r} is none", NONSENSE)
        elif self._has(gpu.uuid, index):
            self.gpus[gpu.uuid] = gpu
            self.pulses[gpu.uuid] = pulse

    def _has(self, uuid: str, index: int) -> bool:
        """Return whether a UUID is this GPU's: of several, that which had it, else the first."""
        first, known = self.gpus.get(uuid), self._known.get(uuid)
        if first is None:
            return True
        mine = known is not None and known.index == index
        other = first.index if mine else index
        self.failures[other] = DriverError(f"its UUID {uuid} is another GPU's, too", NONSENSE)
        return mine


def _differs(gpu: Gpu, index: int, pulse: Pulse) -> bool:
    slices = tuple(each.uuid for each in gpu.slices)
    return (gpu.index, gpu.mig, slices) != (index, pulse.mig, pulse.slices)


class Looker:
    """Keeps the driver open, and makes of what it says now and said before one view.

    For one thread. A driver that fails as a whole is closed, and opened by a later look. `wake` is
    called on any thread when a GPU answers that did not.
    """

    def __init__(
        self, driver: Driver, plugged: Plugged, wake: Callable[[], None] = lambda: None
    ) -> None:
        self._driver = driver
        self._plugged = plugged
        self._open = False
        self._versions = Versions()
        self._known: dict[str, Gpu] = {}
        self._asker = Asker(wake)
        self._was_plugged: set[str] = set()
        self._errors: dict[str, int] = {}
        self._links: Links = {}
        self._looks = 0
        self._missed, self._patience = 0, _FIRST_PATIENCE

    def remember(self, view: View) -> None:
        """Know what another has seen before."""
        self._known = {gpu.uuid: gpu for gpu in view.gpus}
        self._versions, self._links = view.versions, view.links

    def look(self) -> View:
        """Ask the driver; never fail."""
        try:
            self._ready()
            if not (self._versions.driver and self._versions.cuda):
                self._versions = self._driver.versions()
            look = Look(self._driver, self._known, self._asker, self._ask)
        except DriverError as error:
            self.close()
            return self._blind(str(error))
        conditions = self._conditions(look)
        uncorrectable = self._count_errors(look.pulses)
        fresh = look.gpus != self._known or self._looks % _LINKS_EVERY == 0
        self._looks += 1
        self._known |= look.gpus
        self._forget_unplugged(conditions, look)
        self._listen(look)
        if fresh:
            self._links = self._read_links(look)
        hopeful = any(error.code not in _FOR_EVER for error in look.failures.values())
        self._lose_patience(missing=hopeful or len(conditions) > len(look.gpus))
        return View(
            versions=self._versions,
            gpus=self._gpus(),
            conditions=conditions,
            uncorrectable=uncorrectable,
            links=self._links,
            strangers=tuple(f"GPU {index}: {error}" for index, error in look.failures.items()),
            silent=self._asker.silent,
        )

    def measure(self, gpus: Sequence[Gpu]) -> Mapping[str, Readings]:
        """Return what can be measured of those GPUs that answer, by UUID; never fail."""
        found: dict[str, Readings] = {}
        if not self._open:
            return found
        with suppress(DriverError):
            self._driver.count()  # a driver that hangs as a whole is asked no more than this
            asked = {gpu.index: partial(self._driver.measure, gpu) for gpu in gpus}
            for answer in self._asker.ask("its readings", asked).values():
                with suppress(DriverError):
                    found |= answer.get() or {} if answer.is_new else {}
        return found

    @property
    def next_verdict(self) -> float | None:
        """In how many seconds a look shows that another GPU hangs; None if none does."""
        return self._asker.next_verdict

    def _ask(self, index: int) -> Answer:
        try:
            pulse = self._driver.pulse(index)
            known = gpu = self._known.get(pulse.uuid)
            if gpu is not None and pulse.slices is None:  # what it was given as stands
                return msgspec.structs.replace(gpu, index=index, failed=("mig", "slices")), pulse
            if gpu is None or gpu.failed or _differs(gpu, index, pulse):
                gpu = self._driver.gpu(index).filled(known)
        except DriverError as error:
            return error
        except Exception as error:  # noqa: BLE001 - one odd GPU never hides the others
            return DriverError(f"it answers nonsense: {error!r}", NONSENSE)
        return gpu, pulse

    def close(self) -> None:
        """Let the driver go, unless a call is under way in it that hangs."""
        if self._open and not self._asker.hanging:
            self._open = False
            self._driver.close()

    def _ready(self) -> None:
        if self._open and self._driver.outdated():
            self.close()
        if not self._open:
            self._driver.open()
            self._open = True
            self._versions = Versions()
            self._errors = {}

    def _blind(self, problem: str) -> View:
        return View(
            versions=self._versions,
            gpus=self._gpus(),
            conditions={uuid: {"driver": problem} for uuid in self._known},
            links=self._links,
            problem=problem,
        )

    def _gpus(self) -> tuple[Gpu, ...]:
        return tuple(sorted(self._known.values(), key=lambda gpu: (gpu.index, gpu.uuid)))

    def _conditions(self, look: Look) -> dict[str, Conditions]:
        """Return what is wrong with each GPU that answers, or did before."""
        found = {uuid: pulse.conditions for uuid, pulse in look.pulses.items()}
        for uuid in self._known.keys() - found.keys():
            found[uuid] = self._missing(self._known[uuid], look.failures)
        return found

    def _missing(self, gpu: Gpu, failures: dict[int, DriverError]) -> Conditions:
        error = failures.pop(gpu.index, None)
        if error is None:
            return {"absent": "the driver does not list it"}
        if error.code == GPU_IS_LOST:
            return {"lost": "lost: it has fallen off the bus or does not answer"}
        return {"lost": f"the driver cannot ask it: {error}"}

    def _forget_unplugged(self, conditions: dict[str, Conditions], look: Look) -> None:
        """Drop GPUs that have left their slots, as far as slots can be seen."""
        for uuid in self._known.keys() - look.gpus.keys():
            if uuid in self._was_plugged and not self._plugged(self._known[uuid].address):
                del self._known[uuid], conditions[uuid]
        self._was_plugged = {u for u, gpu in self._known.items() if self._plugged(gpu.address)}

    def _count_errors(self, pulses: Mapping[str, Pulse]) -> dict[str, int]:
        new = {}
        for uuid, pulse in pulses.items():
            if pulse.uncorrectable is not None:
                before = self._errors.setdefault(uuid, pulse.uncorrectable)
                if pulse.uncorrectable > before:
                    new[uuid] = pulse.uncorrectable - before
                self._errors[uuid] = pulse.uncorrectable
        return new

    def _listen(self, look: Look) -> None:
        """Have events of new GPUs told; who fails or hangs is asked again at the next look."""
        with suppress(DriverError):
            new = self._driver.unheard([*look.gpus.values()])
            asked = {gpu.index: partial(self._driver.listen, gpu) for gpu in new}
            self._asker.ask("its events", asked)

    def _read_links(self, look: Look) -> Links:
        """Ask for the links of all GPUs but those that hang, whose links stay as they were."""
        gpus = {gpu.index: gpu for gpu in self._gpus() if gpu.index not in look.silent}
        asked = {index: partial(self._driver.ends, gpu) for index, gpu in gpus.items()}
        answers = self._asker.ask("its links", asked)
        told = [(gpus[n], each.value or {}) for n, each in answers.items() if each.is_new]
        hung = self._known.keys() - {gpu.uuid for gpu, _ in told}
        kept = {pair: n for pair, n in self._links.items() if not hung.isdisjoint(pair)}
        return {**kept, **links_between(told)}

    def _lose_patience(self, *, missing: bool) -> None:
        """Have a driver that misses GPUs opened anew: only then it finds those that returned."""
        if not missing:
            self._missed, self._patience = 0, _FIRST_PATIENCE
            return
        self._missed += 1
        if self._missed >= self._patience:
            self._missed, self._patience = 0, min(2 * self._patience, _LONGEST_PATIENCE)
            self.close()
