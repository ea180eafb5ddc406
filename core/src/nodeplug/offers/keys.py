"""What a resource has once, however many rules give its name."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nodeplug.offers.rules import Injection, OfferRule, Policy


class Keys(NamedTuple):
    """What a resource has once; None where nothing is said of it."""

    policy: Policy | None = None
    inject: Injection | None = None
    single: bool | None = None

    @classmethod
    def of(cls, rule: OfferRule | None) -> "Keys":
        """Return what a rule says."""
        if rule is None:
            return cls()
        single = rule.fail_requests_greater_than_one if rule.replicas > 1 else None
        return cls(rule.policy, rule.inject, single)

    def merged(self, other: "Keys") -> "Keys":
        """Return what both say; of the same the first."""
        return Keys(
            other.policy if self.policy is None else self.policy,
            other.inject if self.inject is None else self.inject,
            other.single if self.single is None else self.single,
        )

    def conflict(self, other: "Keys") -> str:
        """Return the key of which both say something, not the same; empty if there is none."""
        names = ("policy", "inject", "failRequestsGreaterThanOne")
        pairs = zip(names, self, other, strict=True)
        return next((name for name, a, b in pairs if None not in {a, b} and a != b), "")


def contradictions(rules: Sequence[OfferRule]) -> Iterator[tuple[int, str]]:
    """Yield rules, by number, and the key in which each contradicts an earlier one of its name.

    A rule that no device reaches, for one before it means all, contradicts nothing.
    """
    said: dict[tuple[str, str], Keys] = {}
    closed: set[str] = set()
    for number, rule in enumerate(rules):
        if rule.resource in closed:
            continue
        name = rule.public_name, rule.split_by
        before, own = said.get(name, Keys()), Keys.of(rule)
        if key := before.conflict(own):
            yield number, key
        said[name] = before.merged(own)
        if not rule.devices:
            closed.add(rule.resource)
