"""Which connections a resource name stands for: the difference between kubelets."""

import enum

from nodeplug.testing.kubelet.devices import DeviceTables
from nodeplug.testing.kubelet.endpoint import Endpoint
from nodeplug.testing.kubelet.errors import Refusal


class Profile(enum.Enum):
    """Which version of the kubelet to be like; docs/kubelet-versions.md has the differences."""

    V1_34 = "1.34"
    V1_35 = "1.35"
    V1_36 = "1.36"
    V1_37 = "1.37"
    OLDEST = V1_34
    NEWEST = V1_37

    def since(self, first: "Profile") -> bool:
        """Whether this version is as new as another, at least."""
        order = list(Profile)
        return order.index(self) >= order.index(first)


class Clients:
    """The clients by resource name, and the endpoints that they make of it in the tables.

    Up to 1.36 there is one for each resource: the end of an old stream takes the new registration
    with it (R15), and a failed one hides the old plugin's death (R16). Since 1.37 they are told
    apart by the paths of their sockets, and a path that is connected is refused. A client that is
    not found any more when its stream ends is never taken for disconnected.
    """

    def __init__(self, profile: Profile, tables: DeviceTables) -> None:
        self._by_path = profile.since(Profile.V1_37)
        self._tables = tables
        self._of: dict[str, list[Endpoint]] = {}
        self._connected: dict[str, list[Endpoint]] = {}

    def add(self, client: Endpoint) -> None:
        """Take a client in; up to 1.36 it takes the place of the one before."""
        others = self._of.get(client.resource, []) if self._by_path else []
        self._of[client.resource] = [*others, client]

    def remove(self, client: Endpoint) -> None:
        """Drop all that cannot be told from this client."""
        others = self._of.pop(client.resource, [])
        if others := [other for other in others if not self._same(other, client)]:
            self._of[client.resource] = others

    def find(self, client: Endpoint) -> Endpoint | None:
        """Return the first client that cannot be told from this one; None if all are gone."""
        return next((c for c in self._of.get(client.resource, []) if self._same(c, client)), None)

    def connected(self, client: Endpoint) -> None:
        """Let a client that has answered serve its resource; raise Refusal."""
        served = self._connected.setdefault(client.resource, [])
        if self._by_path and any(other.path == client.path for other in served):
            raise Refusal(f"device plugin already connected: {client.path}")
        served.append(client)
        self._tables.endpoints[client.resource] = client

    def disconnected(self, client: Endpoint, now: float) -> None:
        """Drop a client, and with the last one of a resource its healthy devices."""
        self.remove(client)
        if self._by_path:
            self._disconnected(client, now)
        elif current := self._tables.endpoints.get(client.resource):
            # R15: this may well be another plugin's.
            self._tables.mark_unhealthy(client.resource)
            current.stopped_at = now

    def _disconnected(self, client: Endpoint, now: float) -> None:
        served = self._connected.get(client.resource, [])
        gone = next((each for each in served if each.path == client.path), None)
        if gone is None:
            return
        gone.stopped_at = now
        served.remove(gone)
        if served:
            self._tables.endpoints[client.resource] = served[0]
        else:
            self._tables.mark_unhealthy(client.resource)

    def _same(self, one: Endpoint, other: Endpoint) -> bool:
        return not self._by_path or one.path == other.path
