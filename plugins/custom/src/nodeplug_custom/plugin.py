"""What this package tells core about itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from nodeplug.backend import (
    Backend,
    BackendSpec,
    Finding,
    Presence,
    Simulator,
    Translation,
    Verdict,
    hookimpl,
)
from nodeplug.host.calls import call
from nodeplug.host.host import Host
from nodeplug.host.nodes import node_type
from nodeplug.host.root import HostRoot
from nodeplug_custom.backend import CustomBackend
from nodeplug_custom.memory import Memory
from nodeplug_custom.privileges import PRIVILEGES
from nodeplug_custom.settings import CustomSettings

_EXPLAIN_SECONDS: Final = 20.0


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


def simulator(folder: Path) -> Simulator:
    """Make a node with a few devices."""
    from nodeplug_custom.simulator import CustomSimulator  # noqa: PLC0415 - for tests and demos

    return CustomSimulator(folder)


def reader(document: object) -> Translation:
    """Read the configuration of another plugin for any device."""
    from nodeplug_custom.reader import read  # noqa: PLC0415 - rare

    return read(document)


async def explain(settings: CustomSettings, host: Host) -> Sequence[Verdict]:
    """Tell of everything that an entry selects, and of what is served otherwise."""
    from nodeplug_custom.explaining import verdicts  # noqa: PLC0415 - rare

    return await call(verdicts, settings, host, timeout=_EXPLAIN_SECONDS)


def names(settings: CustomSettings) -> Sequence[str]:
    """Return the names of resources, but for those that their devices' names make."""
    return [each.name for each in settings.resources if not each.named_by_device]


def checks(settings: CustomSettings, root: HostRoot) -> Sequence[Finding]:
    """Find what keeps devices from being seen."""
    from nodeplug_custom.doctor import findings  # noqa: PLC0415 - rare

    return findings(settings, root)


SPEC = BackendSpec(
    name="custom",
    summary="Any device, by configuration alone",
    settings=CustomSettings,
    build=build,
    probe=probe,
    simulator=simulator,
    entries="resources",
    reader=reader,
    explain=explain,
    checks=checks,
    names=names,
    privileges=PRIVILEGES,
    metrics_port=9844,
)


@hookimpl
def nodeplug_backend() -> BackendSpec:
    """Describe the backend to core."""
    return SPEC
