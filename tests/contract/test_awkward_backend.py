"""The suite that every backend must pass, on the most difficult one."""

from nodeplug.testing.contract import BackendContract
from support.awkward.backend import SPEC


class TestAwkwardBackend(BackendContract):
    """The boundary bears every difficulty."""

    spec = SPEC
