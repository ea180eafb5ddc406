"""What this package tells core about itself."""

from collections.abc import Sequence
from pathlib import Path

from nodeplug.backend import (
    Backend,
    BackendSpec,
    Finding,
    HostFiles,
    Labels,
    Presence,
    Simulator,
    Telemetry,
    Translation,
    Verdict,
    hookimpl,
)
from nodeplug.host.host import Host
from nodeplug.host.root import HostRoot
from nodeplug_nvidia_gpu.backend import NvidiaGpuBackend
from nodeplug_nvidia_gpu.library import Library
from nodeplug_nvidia_gpu.memory import Memory
from nodeplug_nvidia_gpu.naming import GPU_RESOURCE
from nodeplug_nvidia_gpu.privileges import PRIVILEGES
from nodeplug_nvidia_gpu.settings import NvidiaGpuSettings


def build(settings: NvidiaGpuSettings, host: Host, previous: Backend | None) -> NvidiaGpuBackend:
    """Make the backend; it remembers what the one before it saw."""
    memory = previous.memory if isinstance(previous, NvidiaGpuBackend) else Memory()
    return NvidiaGpuBackend(settings, host, memory)


def probe(root: HostRoot) -> Presence:
    """Look for the driver's library in its usual places, without loading it."""
    found = Library(root, NvidiaGpuSettings()).find()
    if found is None:
        return Presence(present=False, detail=f"no libnvidia-ml.so.1 below {root.root}")
    return Presence(present=True, detail=f"driver library {found}")


def simulator(folder: Path) -> Simulator:
    """Make a node with eight GPUs."""
    from nodeplug_nvidia_gpu.simulator import NvidiaGpuSimulator  # noqa: PLC0415 - not for daemons

    return NvidiaGpuSimulator(folder)


def reader(document: object) -> Translation:
    """Translate the configuration file of NVIDIA's device plugin."""
    from nodeplug_nvidia_gpu.reader import read  # noqa: PLC0415 - for those who have such a file

    return read(document)


async def explain(settings: NvidiaGpuSettings, host: Host) -> Sequence[Verdict]:
    """Say of each GPU what becomes of it."""
    from nodeplug_nvidia_gpu.explain import explain  # noqa: PLC0415 - for one command

    return await explain(settings, host)


def checks(settings: NvidiaGpuSettings, root: HostRoot) -> Sequence[Finding]:
    """Look for what is wrong with the node."""
    from nodeplug_nvidia_gpu.findings import findings  # noqa: PLC0415 - for one command

    return findings(settings, root)


SPEC = BackendSpec(
    name="nvidia_gpu",
    summary="NVIDIA GPUs and their MIG slices",
    settings=NvidiaGpuSettings,
    build=build,
    probe=probe,
    simulator=simulator,
    capabilities=frozenset({HostFiles, Labels, Telemetry}),
    reader=reader,
    explain=explain,
    checks=checks,
    names=lambda _: [GPU_RESOURCE],
    privileges=PRIVILEGES,
    metrics_port=9841,
)


@hookimpl
def nodeplug_backend() -> BackendSpec:
    """Describe the backend to core."""
    return SPEC
