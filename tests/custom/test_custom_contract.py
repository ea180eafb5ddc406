"""The suite that every backend must pass, on the custom backend."""

from nodeplug.testing.contract import BackendContract
from nodeplug_custom.plugin import SPEC


class TestCustomBackend(BackendContract):
    """Any device, by configuration alone."""

    spec = SPEC
