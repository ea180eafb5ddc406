"""The suite that every backend must pass, on the SR-IOV network backend."""

from nodeplug.testing.contract import BackendContract
from nodeplug_sriov_net.plugin import SPEC


class TestSriovNetBackend(BackendContract):
    """A node with adapters of several makes."""

    spec = SPEC
