"""The suite that every backend must pass, on the NVIDIA GPU backend."""

from nodeplug.testing.contract import BackendContract
from nodeplug_nvidia_gpu.plugin import SPEC


class TestNvidiaGpuBackend(BackendContract):
    """A node with eight GPUs."""

    spec = SPEC
