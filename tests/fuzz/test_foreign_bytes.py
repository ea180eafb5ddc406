"""Whatever comes from outside is read or refused, and nothing else; `make fuzz` tries far more."""

import pytest

from fuzz.engine import Target, run
from fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_spoilt_input_is_read_or_refused(target: Target) -> None:
    """The same inputs each time; the number in a failure makes them again."""
    count = 10 if target.name.startswith(("hardware", "helpers")) else 300
    assert run(target, count, seed=1).total() == count
