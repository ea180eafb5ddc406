"""What the tests of the custom backend share."""

from pathlib import Path

import pytest

from support.custom_host import FakeHost


@pytest.fixture
def fake(tmp_path: Path) -> FakeHost:
    """Give an empty host."""
    return FakeHost(tmp_path)
