"""The suite that every backend must pass, on simulated cards."""

from nodeplug.testing.contract import BackendContract
from nodeplug_intel_fpga.plugin import SPEC


class TestFpgaBackend(BackendContract):
    """Intel FPGA cards of both drivers."""

    spec = SPEC
