"""The node's status: what the API server, and with it the scheduler, knows of resources."""

from collections.abc import Callable, Mapping

from nodeplug.testing.kubelet.clock import Clock
from nodeplug.testing.kubelet.devices import Capacity

# R27: how often the kubelet writes the status of its node.
SYNC_SECONDS = 10.0


class NodeStatus:
    """The capacities as last written. They outlive the kubelet; no resource ever leaves (R28)."""

    def __init__(self) -> None:
        self.now: dict[str, Capacity] = {}
        self.written: dict[str, Capacity] = {}

    def update(self, capacities: Mapping[str, Capacity]) -> None:
        """Take in what is true now; what is not among it has become zero."""
        self.now = dict.fromkeys(self.now, Capacity(0, 0)) | dict(capacities)

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
