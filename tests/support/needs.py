"""What a test needs of the machine it runs on."""

import os

import pytest


def require(condition: bool, reason: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Skip the test with the reason; fail instead where nothing may be skipped."""
    if condition:
        return
    if os.environ.get("NODEPLUG_REQUIRE_ALL") == "1":
        pytest.fail(f"NODEPLUG_REQUIRE_ALL=1, but {reason}")
    pytest.skip(reason)
