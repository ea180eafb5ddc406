"""`make fuzz`: `python -m fuzz [COUNT [SEED]]`, with tests/ on PYTHONPATH."""

import logging
import random
import sys

import pytest

from fuzz import bitstreams
from fuzz.engine import run
from fuzz.targets import TARGETS

# Starting a process or looking at a whole host takes milliseconds, reading a file microseconds.
_SHARES = {"annotation": 0.05, "hardware": 0.02, "helpers": 0.003}
_SHARE = 0.2


def main(count: int, seed: int) -> None:
    """Feed every reader; whatever gets through is a traceback and exit code 1."""
    for target in TARGETS:
        share = _SHARES.get(target.name.split()[0], _SHARE)
        try:
            outcomes = run(target, max(1, int(count * share)), seed)
        except pytest.skip.Exception as reason:
            print(f"skipped {target.name}: {reason}", flush=True)  # noqa: T201
            continue
        print(f"{outcomes.total():7} {target.name}: {len(outcomes)} different ends", flush=True)  # noqa: T201
    outcomes = bitstreams.run(count, seed)
    print(f"{outcomes.total():7} bitstreams: {len(outcomes)} different ends; seed {seed}")  # noqa: T201


if __name__ == "__main__":
    logging.disable()  # what readers say of spoilt input
    numbers = list(map(int, sys.argv[1:]))
    main(
        numbers[0] if numbers else 100_000,
        numbers[1] if len(numbers) > 1 else random.randrange(10**6),
    )
