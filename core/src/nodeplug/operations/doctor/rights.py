"""What the process may do, against what the features in use need."""

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from nodeplug.backend import Finding, HostMount, Privilege
from nodeplug.config.settings import CDI_DIR, FEATURE_DIR, PLUGIN_REGISTRY
from nodeplug.operations.doctor.mounts import covering, read_mounts
from nodeplug.operations.doctor.patient import Patient, problem, warning
from nodeplug.operations.privileges import CORE

# linux/capability.h, by number.
_CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"),
    *("SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW"),
    *("IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT"),
    *("SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD"),
    *("LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG"),
    *("WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"),
)
# A privileged container has all; these two no container has otherwise unless it asks for them.
_OF_PRIVILEGED = ("SYS_ADMIN", "SYS_RAWIO")


def rights(patient: Patient) -> Iterator[Finding]:
    """Compare the process's rights with the privilege table of what is switched on."""
    held = _capabilities(patient.process)
    for privilege in _in_use(patient):
        feature = f"feature {privilege.feature}"
        wanted = {*privilege.capabilities, *(_OF_PRIVILEGED if privilege.privileged else ())}
        for name in sorted(wanted - held) if held is not None else ():
            yield _lacking(feature, privilege, name)
        if privilege.host_network and _is_in_other_network(patient):
            remedy = "set hostNetwork: true"
            yield problem(feature, "runs outside the host's network", remedy, privilege.reason)
        for mount in privilege.mounts:
            yield from _mount(feature, privilege, mount, patient)


def switched_on(setting: str, settings: Any) -> bool:
    """Whether a privilege's setting, in the form `health.open=true`, is what `settings` say.

    `cdi*` is any value that begins so, and a word in capitals, as in `removeTaint=KEY`, any at
    all.
    """
    path, _, wanted = setting.partition("=")
    values = _values(msgspec.to_builtins(settings), path.split("."))
    if not wanted or wanted.isupper():
        return any(values)
    return any(fnmatchcase(str(value).lower(), wanted) for value in values)


def _values(data: Any, steps: list[str]) -> list[Any]:
    if not steps:
        return [data]
    found = data.get(steps[0].removesuffix("[]")) if isinstance(data, dict) else None
    entries = found or () if steps[0].endswith("[]") else (found,)
    return [value for entry in entries for value in _values(entry, steps[1:])]


def _in_use(patient: Patient) -> Iterator[Privilege]:
    # What core cannot be without shows in its sockets.
    yield from (p for p in CORE if p.setting and switched_on(p.setting, patient.agent))
    for spec, settings in patient.settings():
        for privilege in spec.privileges:
            if not privilege.setting or switched_on(privilege.setting, settings):
                yield privilege


def _lacking(feature: str, privilege: Privilege, name: str) -> Finding:
    if privilege.privileged:
        text, remedy = "needs a privileged container", "set securityContext.privileged: true"
    else:
        text, remedy = f"lacks the capability {name}", f"add {name} to capabilities.add"
    return problem(feature, text, remedy, privilege.reason)


def _capabilities(process: Path) -> set[str] | None:
    try:
        lines = (process / "status").read_text(errors="replace").splitlines()
    except OSError:
        return None
    mask = next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)
    return {name for number, name in enumerate(_CAPABILITIES) if mask >> number & 1}


def _is_in_other_network(patient: Patient) -> bool:
    # Only where process 1 is the host's does this tell anything; elsewhere both are the same.
    try:
        own = (patient.process / "ns/net").readlink()
        return (patient.root.proc / "1/ns/net").readlink() != own
    except OSError:
        return False


def _mount(
    feature: str, privilege: Privilege, wanted: HostMount, patient: Patient
) -> Iterator[Finding]:
    path = _place(wanted.path, patient)
    mount = covering(read_mounts(patient.process), Path(os.path.realpath(path)))
    if mount is None:
        return
    if mount.point == Path("/") and mount.kind == "overlay":
        remedy = f"mount the host's {path} there"
        yield problem(feature, f"{path} is the container's own", remedy, privilege.reason)
    elif mount.read_only and not wanted.read_only:
        remedy = f"mount {path} read-write"
        yield problem(feature, f"{path} is mounted read-only", remedy, privilege.reason)
    elif wanted.propagation and not mount.receives:
        remedy = "set mountPropagation: HostToContainer"
        finding = f"mounts made later below {path} are not seen"
        yield warning(feature, finding, remedy, privilege.reason)


def _place(path: str, patient: Patient) -> Path:
    if path == CDI_DIR:
        return Path(patient.agent.cdi.spec_dir)
    if path == PLUGIN_REGISTRY:
        return Path(patient.agent.kubelet.plugin_registry_dir)
    return patient.root.find(patient.agent.labels.feature_dir if path == FEATURE_DIR else path)
