"""The promises every backend keeps, as tests to inherit.

In a test module of the backend:

    class TestMyBackend(BackendContract):
        spec = my_package.plugin.SPEC

pytest then runs one test per promise, on the backend's own simulator. Nothing here needs
hardware, privileges or a pytest plugin.
"""

from nodeplug.testing.contract.allocation import AllocationPromises
from nodeplug.testing.contract.description import DescriptionPromises
from nodeplug.testing.contract.discovery import DiscoveryPromises
from nodeplug.testing.contract.service import ServicePromises


class BackendContract(DescriptionPromises, DiscoveryPromises, AllocationPromises, ServicePromises):
    """Inherit and set `spec`."""
