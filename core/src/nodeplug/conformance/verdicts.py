"""What came out, rule by rule."""

from typing import Literal, NamedTuple

from nodeplug.conformance.rules import RULES, Rule

Outcome = Literal["held", "broken", "not judged"]


class Verdict(NamedTuple):
    """How a plugin did by one rule under one version of the kubelet.

    `detail` says what was seen; `seconds` is a time that the rule is about, or None.
    """

    number: str
    profile: str
    outcome: Outcome
    detail: str
    seconds: float | None = None

    @property
    def rule(self) -> Rule:
        """The rule."""
        return RULES[self.number]

    @property
    def fails(self) -> bool:
        """Whether the plugin does not conform because of it."""
        return self.outcome == "broken" and self.rule.level == "MUST"


class Broken(Exception):  # noqa: N818 - a finding, not a failure of ours
    """What a plugin does against a rule."""


class NotJudgedError(Exception):
    """Why a rule cannot be judged with this plugin."""
