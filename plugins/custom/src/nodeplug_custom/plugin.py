"""What this package tells core about itself."""

from nodeplug.backend import Backend, BackendSpec, Presence, hookimpl
from nodeplug.host.host import Host
from nodeplug.host.nodes import node_type
from nodeplug.host.root import HostRoot
from nodeplug_custom.backend import CustomBackend
from nodeplug_custom.memory import Memory
from nodeplug_custom.privileges import PRIVILEGES
from nodeplug_custom.settings import CustomSettings
from nodeplug_custom.simulator import CustomSimulator


def build(settings: CustomSettings, host: Host, previous: Backend | None) -> CustomBackend:
    """Make the backend; it remembers what the one before it saw."""
    memory = previous.memory if isinstance(previous, CustomBackend) else Memory()
    return CustomBackend(settings, host, memory)


def probe(root: HostRoot) -> Presence:
    """Count the device nodes at hand."""
    try:
        kinds = [node_type(path) for path in root.dev.iterdir()]
    except OSError as error:
        return Presence(present=False, detail=f"{root.dev} cannot be read: {error.strerror}")
    count = kinds.count("char") + kinds.count("block")
    return Presence(present=count > 0, detail=f"{count} device nodes in {root.dev}")


SPEC = BackendSpec(
    name="custom",
    summary="Any device, by configuration alone",
    settings=CustomSettings,
    build=build,
    probe=probe,
    simulator=CustomSimulator,
    entries="resources",
    privileges=PRIVILEGES,
    metrics_port=9844,
)


@hookimpl
def nodeplug_backend() -> BackendSpec:
    """Describe the backend to core."""
    return SPEC
