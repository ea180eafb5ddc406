"""Which backend has which name: its own names are a backend's before any that a rule gives."""

from collections.abc import Collection, Mapping, Sequence

from nodeplug.offers import Offer, Refusal


class Claims:
    """The names of an agent's backends, in the order in which these were first heard of."""

    def __init__(self) -> None:
        self._own: dict[str, Collection[str]] = {}
        self._given: dict[str, Collection[str]] = {}

    def own(self, backend: str, names: Collection[str]) -> None:
        """Note what a backend itself calls its resources."""
        self._own[backend] = names

    def give(self, backend: str, offers: Mapping[str, Offer]) -> None:
        """Note what a backend's resources are called now."""
        self._given[backend] = set(offers)

    def taken(self, backend: str) -> Mapping[str, str]:
        """Return the names that a backend may not give, and whose they are.

        Of two backends that call a resource alike the first has the name.
        """
        own = self._own.get(backend, ())
        taken: dict[str, str] = {}
        for other in [each for each in self._given if each != backend]:
            taken |= {name: other for name in self._given[other] if name not in own}
        first = True
        for other, names in self._own.items():
            if other == backend:
                first = False
            else:
                taken |= {name: other for name in names if first or name not in own}
        return {name: f"a resource of backend {other}" for name, other in taken.items()}

    def losing(self) -> list[str]:
        """Return the backends that have a name which they may not have any more."""
        return [each for each, names in self._given.items() if self.taken(each).keys() & names]

    def winning(self, refusals: Mapping[str, Sequence[Refusal]]) -> list[str]:
        """Return the backends that may have a name now which was somebody else's."""
        return [
            backend
            for backend, refused in refusals.items()
            if {each.name for each in refused if each.held} - self.taken(backend).keys()
        ]
