"""Which connections a resource name stands for: the difference between kubelets."""

import enum

from nodeplug.testing.kubelet.endpoint import Endpoint


class Profile(enum.Enum):
    """Which kubelets to be like.

    `V1_36` and all before keep one client per resource: the end of an old stream takes the new
    registration with it (R15), and a failed one hides the old plugin's death (R16). `V1_37` and
    later tell clients apart by the path of their socket.
    """

    V1_36 = "<=1.36"
    V1_37 = ">=1.37"


class Clients:
    """The clients by resource name."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._of: dict[str, list[Endpoint]] = {}

    def add(self, client: Endpoint) -> None:
        """Take a client in; up to 1.36 it takes the place of the one before."""
        others = [] if self._profile is Profile.V1_36 else self._of.get(client.resource, [])
        self._of[client.resource] = [*others, client]

    def remove(self, client: Endpoint) -> None:
        """Drop all that cannot be told from this client."""
        others = self._of.pop(client.resource, [])
        if others := [other for other in others if not self.same(other, client)]:
            self._of[client.resource] = others

    def find(self, client: Endpoint) -> Endpoint | None:
        """Return the first client that cannot be told from this one; None if all are gone."""
        return next((c for c in self._of.get(client.resource, []) if self.same(c, client)), None)

    def same(self, one: Endpoint, other: Endpoint) -> bool:
        """Whether the kubelet takes two clients of a resource for the same one."""
        return self._profile is Profile.V1_36 or one.path == other.path
