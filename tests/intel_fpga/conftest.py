"""What the tests of the FPGA backend share."""

from pathlib import Path

import pytest

from support.fpga_host import FpgaHost


@pytest.fixture
def fake(tmp_path: Path) -> FpgaHost:
    """Give a host without cards."""
    return FpgaHost(tmp_path)
