"""What a walk found: checks with figures."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Check:
    """One check: what it is, whether it held, its figures, and lines that show what was seen."""

    name: str
    held: bool = False
    figures: dict[str, float | int | str] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)
    problem: str = "not reached"

    def as_json(self) -> dict[str, object]:
        """Return the check as JSON holds it."""
        return {
            "check": self.name,
            "held": self.held,
            "figures": self.figures,
            "shown": self.shown,
            "problem": self.problem,
        }
