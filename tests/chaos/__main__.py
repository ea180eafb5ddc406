"""`make chaos`: `python -m chaos [FAULTS [SEED]]`, with tests/ on PYTHONPATH."""

import asyncio
import random
import sys

from chaos.campaign import campaign


def main(faults: int, seed: int) -> None:
    """Walk and print the result; a violation is a traceback and exit code 1."""
    print(f"seed {seed}", flush=True)  # noqa: T201
    result = asyncio.run(campaign(faults, seed, outside=1, say=_say))
    print("\n".join(result.lines()))  # noqa: T201


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    main(
        numbers[0] if numbers else 10_000,
        numbers[1] if len(numbers) > 1 else random.randrange(10**6),
    )
