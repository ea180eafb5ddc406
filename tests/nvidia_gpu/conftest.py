"""What the tests of the NVIDIA GPU backend share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nodeplug_nvidia_gpu import threads
from support.nvml_host import NvmlHost
from support.nvml_library import compiled


@pytest.fixture(autouse=True)
def _quick_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a backend end sooner: the next test's can begin only then."""
    monkeypatch.setattr(threads, "PATIENCE_SECONDS", 0.02)


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give where libraries are compiled to."""
    return tmp_path_factory.mktemp("nvml")


@pytest.fixture
def bare(tmp_path: Path, libraries: Path) -> Iterator[NvmlHost]:
    """Give a host without GPUs and without a driver."""
    host = NvmlHost(tmp_path, compiled(libraries))
    yield host
    host.close()


@pytest.fixture
def eight(bare: NvmlHost) -> NvmlHost:
    """Give a host with eight GPUs and a driver."""
    for number in range(8):
        bare.add(number)
    bare.install()
    return bare
