"""Walk: `python -m kubelets.walk VERSION [STEPS [SEED]]`."""

import asyncio
import sys
import time

from kubelets.walk.campaign import Walk


async def main(version: str, steps: str = "10000", seed: str = "1") -> None:
    """Walk and say what came of it."""
    started = time.monotonic()
    taken = await Walk(version, int(steps), int(seed)).run()
    seconds = time.monotonic() - started
    print(f"kubelet {version}: {taken} steps, no difference, {seconds:.0f} s")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
