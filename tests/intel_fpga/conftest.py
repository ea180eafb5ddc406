"""What the tests of the FPGA backend share."""

from pathlib import Path

import pytest

from support.fpga_host import FpgaHost
from support.fpga_programming import Driver, compile_driver


@pytest.fixture(scope="session")
def driver_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the stand-in for the kernel's driver, to be preloaded."""
    return compile_driver(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def driver(tmp_path: Path, driver_library: Path) -> Driver:
    """Give a driver that has no cards yet."""
    return Driver(tmp_path, driver_library)


@pytest.fixture
def fake(tmp_path: Path) -> FpgaHost:
    """Give a host without cards."""
    return FpgaHost(tmp_path)
