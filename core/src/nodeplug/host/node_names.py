"""The numbers of device nodes by name, as /sys has them: for nodes that cannot be seen in /dev."""

from collections.abc import Iterator, Mapping
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import names_in, read_text
from nodeplug.values.hardware import HardwareKey

if TYPE_CHECKING:
    from nodeplug.host.reads import Question, Reads


class NodeNames:
    """Outlives looks, for it remembers devices that do not answer. It blocks; any thread may ask.

    Names are read in `uevent`, which waits for the lock of its device (docs/hardware-reads.md).
    """

    def __init__(self, root: HostRoot) -> None:
        self._top = f"{root.sys}/dev"
        self._reads: Reads | None = None
        self._lock = Lock()

    def read(self) -> Mapping[str, HardwareKey]:
        """Return the keys of all nodes by their names below /dev."""
        from nodeplug.host.reads import Reads  # noqa: PLC0415 - where /dev shows all, nobody asks

        with self._lock:
            self._reads = self._reads or Reads()
            with self._reads as reads:
                answers = reads.ask(dict(self._questions()))
        return {name: key for key, each in answers.items() if (name := _name(each.get()))}

    def _questions(self) -> Iterator[tuple[HardwareKey, "Question[str | None]"]]:
        from nodeplug.host.reads import Question  # noqa: PLC0415 - likewise

        for kind in ("char", "block"):
            for number in names_in(f"{self._top}/{kind}"):
                ask = partial(read_text, f"{self._top}/{kind}/{number}/uevent")
                yield f"{kind} {number}", Question(number, "uevent", ask)


def _name(text: str | None) -> str:
    lines = (text or "").split("\n")
    named = next((each for each in lines if each.startswith("DEVNAME=")), "DEVNAME=")
    return named[8:].removeprefix("/dev/")
