"""What this package tells core about itself."""

from collections.abc import Sequence
from pathlib import Path

from nodeplug.backend import (
    Backend,
    BackendSpec,
    Finding,
    HostFiles,
    Presence,
    Simulator,
    Telemetry,
    Translation,
    Verdict,
    hookimpl,
)
from nodeplug.host.host import Host
from nodeplug.host.root import HostRoot
from nodeplug_sriov_net.backend import SriovNetBackend
from nodeplug_sriov_net.memory import Memory
from nodeplug_sriov_net.privileges import PRIVILEGES
from nodeplug_sriov_net.settings import SriovNetSettings
from nodeplug_sriov_net.survey import Survey


def build(settings: SriovNetSettings, host: Host, previous: Backend | None) -> SriovNetBackend:
    """Make the backend; it remembers what the one before it saw."""
    known = previous.memory if isinstance(previous, SriovNetBackend) else None
    memory = known or Memory(host.identities)
    return SriovNetBackend(settings, host, memory)


def probe(root: HostRoot) -> Presence:
    """Count the functions at hand."""
    found = Survey(root).look().values()
    virtual = sum(1 for each in found if each.physfn)
    subs = sum(len(each.subs) for each in found)
    detail = (
        f"{len(found) - virtual} network functions and accelerators, {virtual} virtual functions, "
        f"{subs} sub-functions"
    )
    return Presence(bool(found), detail)


def simulator(folder: Path) -> Simulator:
    """Make a node with adapters of several makes."""
    from nodeplug_sriov_net.simulator import SriovNetSimulator  # noqa: PLC0415 - for tests and demos

    return SriovNetSimulator(folder)


def reader(document: object) -> Translation:
    """Translate the configuration file of the SR-IOV network device plugin."""
    from nodeplug_sriov_net.reader import read  # noqa: PLC0415 - for those who have such a file

    return read(document)


async def explain(settings: SriovNetSettings, host: Host) -> Sequence[Verdict]:
    """Say of each function what becomes of it."""
    from nodeplug_sriov_net.explain import explain  # noqa: PLC0415 - for one command

    return await explain(settings, host)


def checks(settings: SriovNetSettings, root: HostRoot) -> Sequence[Finding]:
    """Look for what is wrong with the node."""
    from nodeplug_sriov_net.findings import findings  # noqa: PLC0415 - for one command

    return findings(settings, root)


SPEC = BackendSpec(
    name="sriov_net",
    summary="Network functions of SR-IOV adapters, sub-functions, accelerators",
    settings=SriovNetSettings,
    build=build,
    probe=probe,
    simulator=simulator,
    capabilities=frozenset({HostFiles, Telemetry}),
    entries="pools",
    reader=reader,
    explain=explain,
    checks=checks,
    names=lambda settings: [pool.name for pool in settings.pools],
    privileges=PRIVILEGES,
    metrics_port=9843,
)


@hookimpl
def nodeplug_backend() -> BackendSpec:
    """Describe the backend to core."""
    return SPEC
