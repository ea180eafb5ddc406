"""What hardware is behind an answer: what a stat of its host paths says, and where sysfs has it.

This is the oracle's own eye. It shares nothing with what the agent itself compares devices by.
"""

import json
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from nodeplug.host.root import HostRoot
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api

# Made to be opened by many: drivers keep those who do apart.
MADE_FOR_MANY = (
    *(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx")),
    *("/dev/kvm", "/dev/fuse", "/dev/iommu", "/dev/net/tun", "/dev/vhost-net", "/dev/vfio/vfio"),
    *("/dev/infiniband/rdma_cm", "/dev/nvidiactl", "/dev/nvidia-uvm*", "/dev/nvidia-modeset"),
    *("/dev/nvidia-caps-imex-channels/*", "/dev/gdrdrv", "/dev/kfd", "/dev/uinput", "/dev/uhid"),
    *("/dev/vhost-vsock", "/dev/tpmrm0", "/dev/snd/seq", "/dev/snd/timer", "/dev/hwrng"),
)
# Linux: memory devices, by whatever name.
_MEMORY_MAJOR = 1
# Who is given one of these uses no more than a part of the GPU whose node comes with it (MIG).
_PART = re.compile(r"/dev/nvidia-caps/nvidia-cap\d+")
_GPU = re.compile(r"/dev/nvidia\d+")
_GROUP = re.compile(r"/dev/vfio/(?:noiommu-)?(\d+)")
_PCI_ADDRESS = re.compile(r"\b[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\b")
# By convention of the SR-IOV network device plugin; "_INFO" tells of what belongs to it.
_PCI_VARIABLE = re.compile(r"PCIDEVICE_\w+(?<!_INFO)")
_CDI_ANNOTATION = "cdi.k8s.io/"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one answer lets a container use, in words: `whole` alone, `parts_of` parts of it."""

    whole: frozenset[str] = frozenset()
    parts_of: frozenset[str] = frozenset()

    def meets(self, other: "Seen") -> frozenset[str]:
        """Return what both use and at least one of them as a whole."""
        return (self.whole & (other.whole | other.parts_of)) | (self.parts_of & other.whole)


class Eye:
    """Looks at the host's paths below `root`, "/" if None; CDI names lead to files in `cdi_dir`."""

    def __init__(
        self,
        root: Path | None = None,
        cdi_dir: Path | None = None,
        made_for_many: Collection[str] = MADE_FOR_MANY,
    ) -> None:
        self._root = HostRoot(root or Path("/"))
        self._cdi_dir = cdi_dir
        self._many = made_for_many

    def look(self, answer: api.ContainerAllocateResponse) -> Seen:
        """Return what an answer leads to at this moment."""
        entries = [*self._cdi_edits(answer)]
        paths = {d.host_path for d in answer.devices} | {*_nodes_of(entries)}
        mounts = {(m.host_path, m.read_only) for m in answer.mounts} | {*_mounts_of(entries)}
        return self.look_at(paths, mounts, {*answer.envs.items()} | {*_envs_of(entries)})

    def look_at(
        self,
        nodes: Iterable[str],
        mounts: Iterable[tuple[str, bool]] = (),
        envs: Iterable[tuple[str, str]] = (),
    ) -> Seen:
        """Return what host paths of device nodes, of mounts (read-only or not), and PCI are.

        PCI functions are told by variables where no node does.
        """
        found = {path for path in nodes if not self._is_for_many(path)}
        found |= {path for path, read_only in mounts if self._is_device(path, read_only=read_only)}
        sliced = any(map(_PART.fullmatch, found))
        whole: set[str] = {*self._functions(_functions_in(envs))}
        parts_of: set[str] = set()
        for path in found:
            is_part = sliced and _GPU.fullmatch(path)
            (parts_of if is_part else whole).update(self._identities(path))
        places = {each for each in whole | parts_of if each.startswith("/")}
        return Seen(frozenset(whole), frozenset(parts_of.union(*map(_above, places))))

    def _is_for_many(self, path: str) -> bool:
        return _is_memory(self._stat(path)) or any(fnmatchcase(path, each) for each in self._many)

    def _is_device(self, path: str, *, read_only: bool) -> bool:
        """Whether a mount is a device, and not just files that many may share."""
        found = self._stat(path)
        if found is None or stat.S_ISDIR(found.st_mode) or self._is_for_many(path):
            return False
        return not read_only or stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)

    def _identities(self, path: str) -> Iterator[str]:
        if group := _GROUP.fullmatch(path):
            yield from self._group(group[1])
        found = self._stat(path)
        if found is None:
            return
        kind = "char" if stat.S_ISCHR(found.st_mode) else "block"
        if not (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)):
            yield f"file {found.st_dev}:{found.st_ino}"
            return
        number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
        yield f"{kind} {number}"
        yield from self._places(self._root.sys / "dev" / kind / number)

    def _group(self, number: str) -> Iterator[str]:
        yield f"IOMMU group {number}"
        for function in (self._root.sys / "kernel/iommu_groups" / number / "devices").glob("*"):
            yield from self._places(function)

    def _functions(self, addresses: Iterable[str]) -> Iterator[str]:
        for address in addresses:
            yield f"PCI {address}"
            yield from self._places(self._root.sys / "bus/pci/devices" / address)

    def _places(self, link: Path) -> Iterator[str]:
        """Yield where sysfs has a device; one of a virtual function is below the physical, too."""
        if not link.exists():
            return
        place = link.resolve()
        yield str(place)
        for above in (place, *place.parents):
            if above == self._root.sys:
                return
            if (above / "physfn").exists():
                rest = place.relative_to(above.parent)
                yield f"{(above / 'physfn').resolve()}/virtfn/{rest}"
            if "vfio-dev" in place.parts and (above / "iommu_group").is_symlink():
                yield f"IOMMU group {(above / 'iommu_group').readlink().name}"

    def _stat(self, path: str) -> os.stat_result | None:
        with suppress(OSError, ValueError):
            return self._root.path(self._root.resolve(path)).stat()
        return None

    def _cdi_edits(self, answer: api.ContainerAllocateResponse) -> Iterator[dict[str, Any]]:
        names = {device.name for device in answer.cdi_devices}
        for key, value in answer.annotations.items():
            names |= {*value.split(",")} if key.startswith(_CDI_ANNOTATION) else set()
        for spec in self._specifications() if names else ():
            listed = [d for d in spec["devices"] if f"{spec['kind']}={d['name']}" in names]
            yield from (device["containerEdits"] for device in listed)
            if listed:
                yield spec.get("containerEdits", {})

    def _specifications(self) -> Iterator[dict[str, Any]]:
        for file in sorted(self._cdi_dir.glob("*.json")) if self._cdi_dir else ():
            with suppress(FileNotFoundError):  # it may go between the two
                yield json.loads(file.read_bytes())


def _nodes_of(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    for edits in entries:
        for node in edits.get("deviceNodes", ()):
            yield node.get("hostPath", node["path"])


def _mounts_of(entries: Iterable[dict[str, Any]]) -> Iterator[tuple[str, bool]]:
    for edits in entries:
        for mount in edits.get("mounts", ()):
            yield mount["hostPath"], "ro" in mount.get("options", ())


def _envs_of(entries: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for edits in entries:
        for line in edits.get("env", ()):
            name, _, value = line.partition("=")
            yield name, value


def _functions_in(envs: Iterable[tuple[str, str]]) -> set[str]:
    """Return the addresses that tell workloads which functions are theirs."""
    told = [value for name, value in envs if _PCI_VARIABLE.fullmatch(name)]
    return {*_PCI_ADDRESS.findall(" ".join(told))}


def _is_memory(found: os.stat_result | None) -> bool:
    if found is None or not stat.S_ISCHR(found.st_mode):
        return False
    return os.major(found.st_rdev) == _MEMORY_MAJOR


def _above(place: str) -> list[str]:
    return [str(path) for path in Path(place).parents]
