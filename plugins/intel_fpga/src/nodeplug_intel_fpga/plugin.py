"""What this package tells core about itself."""

from collections.abc import Sequence
from pathlib import Path

from nodeplug.backend import (
    Backend,
    BackendSpec,
    Finding,
    Preparer,
    Presence,
    Simulator,
    Telemetry,
    Translation,
    Verdict,
    hookimpl,
)
from nodeplug.host.host import Host
from nodeplug.host.root import HostRoot
from nodeplug_intel_fpga.backend import FpgaBackend
from nodeplug_intel_fpga.commands import COMMANDS
from nodeplug_intel_fpga.privileges import PRIVILEGES
from nodeplug_intel_fpga.settings import FpgaSettings
from nodeplug_intel_fpga.survey import survey


def build(settings: FpgaSettings, host: Host, previous: Backend | None) -> FpgaBackend:
    """Make the backend; it knows what the one before it knew."""
    memory = previous.memory if isinstance(previous, FpgaBackend) else None
    return FpgaBackend(settings, host, memory)


def probe(root: HostRoot) -> Presence:
    """Count the ports that the drivers show."""
    functions = survey(root).functions
    ports = sum(len(each.ports) for each in functions)
    detail = f"{ports} ports on {len({each.card for each in functions})} cards"
    return Presence(present=ports > 0, detail=f"{detail} in {root.sys}/class")


async def explain(settings: FpgaSettings, host: Host) -> Sequence[Verdict]:
    """Tell what becomes of each port."""
    from nodeplug_intel_fpga.explain import explain as told  # noqa: PLC0415 - not for a daemon

    return await told(settings, host)


def checks(settings: FpgaSettings, root: HostRoot) -> Sequence[Finding]:
    """Find what is wrong with the cards."""
    from nodeplug_intel_fpga.doctor import checks as found  # noqa: PLC0415 - not for a daemon

    return found(settings, root)


def reader(document: object) -> Translation:
    """Read the peer's custom resources."""
    from nodeplug_intel_fpga.reader import read  # noqa: PLC0415 - once, at the start

    return read(document)


def simulator(folder: Path) -> Simulator:
    """Make simulated cards."""
    from nodeplug_intel_fpga.simulator import FpgaSimulator  # noqa: PLC0415 - not for a daemon

    return FpgaSimulator(folder)


SPEC = BackendSpec(
    name="intel_fpga",
    summary="Intel FPGA cards: ports by AFU, regions, programming on demand",
    settings=FpgaSettings,
    build=build,
    probe=probe,
    simulator=simulator,
    capabilities=frozenset({Preparer, Telemetry}),
    entries="programming",
    reader=reader,
    explain=explain,
    checks=checks,
    names=lambda settings: [each.name for each in settings.programming],
    commands=COMMANDS,
    privileges=PRIVILEGES,
    metrics_port=9842,
)


@hookimpl
def nodeplug_backend() -> BackendSpec:
    """Describe the backend to core."""
    return SPEC
