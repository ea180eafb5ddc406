"""What the process needs on the host, by feature.

Without any of it, the container runtime brings driver and GPUs, as with RuntimeClass nvidia.
"""

from typing import Final

from nodeplug.backend import HostMount, Privilege

PRIVILEGES: Final = (
    Privilege(
        feature="MIG slices of one profile",
        reason="NVIDIA's driver shows MIG instances to administrators only",
        setting="migStrategy=single",
        capabilities=("SYS_ADMIN",),
    ),
    Privilege(
        feature="MIG slices of several profiles",
        reason="NVIDIA's driver shows MIG instances to administrators only",
        setting="migStrategy=mixed",
        capabilities=("SYS_ADMIN",),
    ),
    Privilege(
        feature="device nodes for containers",
        reason="to see which nodes there are",
        setting="passDeviceSpecs=true",
        mounts=(HostMount("/dev"),),
    ),
    Privilege(
        feature="CDI names",
        reason="to read the host's specifications, and to write one where there is none",
        setting="deviceListStrategy[]=cdi-*",
        mounts=(HostMount("/etc/cdi"), HostMount("/var/run/cdi", read_only=False)),
    ),
    Privilege(
        feature="drivers and GPUs that come while the agent runs",
        reason="a container runtime brings only what is there when a container starts",
        setting="containerDriverRoot=PATH",
        mounts=(HostMount("/run/nvidia/driver", propagation=True), HostMount("/dev")),
        privileged=True,
    ),
)
