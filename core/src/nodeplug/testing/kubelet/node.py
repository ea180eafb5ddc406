"""The node's status: what the API server, and with it the scheduler, knows of resources."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from nodeplug.testing.kubelet.clock import Clock
from nodeplug.testing.kubelet.devices import Capacity

# R27: how often the kubelet writes the status of its node.
SYNC_SECONDS = 10.0


class NodeStatus:
    """The capacities as last written. They outlive the kubelet; no resource ever leaves (R28)."""

    def __init__(self) -> None:
        self.now: dict[str, Capacity] = {}
        self.written: dict[str, Capacity] = {}

    def update(self, capacities: Mapping[str, Capacity], removed: Iterable[str]) -> None:
        """Take in what is true now; what was just removed is zero.

        Of a resource that the kubelet knows nothing of, the capacity stands, and is allocatable.
        """
        stand = {r: Capacity(c.capacity, c.capacity) for r, c in self.now.items()}
        self.now = stand | dict.fromkeys(removed, Capacity(0, 0)) | dict(capacities)

    def enrol(self, directory: Path) -> None:
        """Do what a kubelet's start does: zero everything if its directory has no entry (R31).

        Names with a dot in front do not count.
        """
        if directory.exists() and any(not e.name.startswith(".") for e in directory.iterdir()):
            return
        self.now = dict.fromkeys(self.now, Capacity(0, 0))
        self.written = dict.fromkeys(self.written, Capacity(0, 0))

    def write(self) -> bool:
        """Let the API server know; return whether anything is new to it."""
        new = self.written != self.now
        self.written = dict(self.now)
        return new

    async def keep_written(self, clock: Clock, sync: Callable[[], None]) -> None:
        """Sync at once and every ten of the kubelet's seconds, until cancelled."""
        while True:
            sync()
            await clock.sleep(SYNC_SECONDS)
