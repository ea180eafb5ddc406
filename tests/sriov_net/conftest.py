"""What the tests of the SR-IOV network backend share."""

from pathlib import Path

import pytest

from support.sriov_host import FakeHost


@pytest.fixture
def fake(tmp_path: Path) -> FakeHost:
    """Give a host without PCI devices."""
    return FakeHost(tmp_path)
