"""What hardware is behind device nodes, and what else whoever holds it takes with it."""

import os
import posixpath
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from sys import intern

import msgspec

from nodeplug.host.node_names import NodeNames
from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import link_name, names_in, read_text
from nodeplug.values.hardware import (
    EXCLUSIVE,
    NO_USES,
    PART,
    HardwareKey,
    Use,
    Uses,
    united,
)

# Nodes that give each opener something of its own, or that lead to a driver instead of a device.
OPENED_BY_MANY: frozenset[str] = frozenset({
    # Kernel, drivers/char/mem.c, random.c, hw_random/core.c, drivers/tty/, kernel/printk/printk.c:
    *(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "hwrng", "kmsg")),
    *("/dev/tty", "/dev/ptmx"),
    # One virtual machine, queue or network interface for each opener: virt/kvm/kvm_main.c,
    # drivers/hv/mshv_root_main.c, drivers/vhost/, net/vmw_vsock/, drivers/net/tun.c, ppp_generic.c
    *("/dev/kvm", "/dev/mshv", "/dev/vhost-net", "/dev/vhost-vsock", "/dev/vhost-scsi"),
    *("/dev/vsock", "/dev/net/tun", "/dev/ppp"),
    # One enclave, or the firmware's queue of requests: arch/x86/kernel/cpu/sgx/driver.c and virt.c,
    # drivers/crypto/ccp/sev-dev.c, drivers/char/tpm/tpmrm-dev.c
    *("/dev/sgx_enclave", "/dev/sgx_provision", "/dev/sgx_vepc", "/dev/sev", "/dev/tpmrm0"),
    # One address space of I/O: drivers/vfio/container.c, drivers/iommu/iommufd/main.c
    *("/dev/vfio/vfio", "/dev/iommu"),
    # One file system, input device, fault handler, limit or buffer: fs/fuse/, drivers/input/misc/,
    # drivers/hid/uhid.c, fs/userfaultfd.c, kernel/power/qos.c, drivers/dma-buf/
    *("/dev/fuse", "/dev/cuse", "/dev/uinput", "/dev/uhid", "/dev/userfaultfd"),
    *("/dev/cpu_dma_latency", "/dev/udmabuf", "/dev/dma_heap/system"),
    # Control of a kind of block device, and what all sound cards have in common: drivers/block/,
    # drivers/md/dm-ioctl.c, fs/btrfs/super.c, drivers/nvme/host/fabrics.c, sound/core/
    *("/dev/loop-control", "/dev/mapper/control", "/dev/btrfs-control", "/dev/nvme-fabrics"),
    *("/dev/snd/seq", "/dev/snd/timer"),
    # Control of the drivers of accelerators, and of RDMA: NVIDIA's open-gpu-kernel-modules and
    # gdrcopy, kernel drivers/gpu/drm/amd/amdkfd/kfd_chardev.c, drivers/infiniband/core/ucma.c
    *("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"),
    *("/dev/gdrdrv", "/dev/kfd", "/dev/infiniband/rdma_cm"),
})  # fmt: skip
"""Host paths of nodes that are made to be opened by many containers at once."""
# Documentation/admin-guide/devices.txt: null, of which each chroot and made-up tree has its own.
NUMBERS_FOR_MANY: frozenset[HardwareKey] = frozenset({"char 1:3"})
"""Device numbers of such nodes, wherever they are."""

# A domain has more than four digits behind Intel's VMD (kernel, drivers/pci/controller/vmd.c).
_PCI_ADDRESS = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
# The second node of an NVMe namespace (kernel 5.13, drivers/nvme/host/core.c, nvme_add_ns_cdev).
_NVME_GENERIC = re.compile(r"ng\d+n\d+")
# Kinds of nodes, below a device, that drive all of that device. A tape has eight of them.
_DRIVES_ABOVE = frozenset({"bsg", "hidraw", "scsi_generic", "scsi_tape", "uio", "vfio-dev"})
# What an input device says, in different forms (kernel, drivers/input/evdev.c, joydev.c and
# mousedev.c).
_OF_INPUT = re.compile(r".*/input\d+/(?:event|js|mouse)\d+")
# The first watchdog has two nodes (kernel, drivers/watchdog/watchdog_dev.c,
# watchdog_cdev_register), and the misc device is not below it.
_WATCHDOG = re.compile(r".*/(?:misc/watchdog|watchdog/watchdog0)")
_LOOP = re.compile(r".*/block/loop\d+")
# What the kernel knows nothing of.
_ONLY_OURS = ("id ", "path ")
_BY_NAME = {"char": "/dev/char", "block": "/dev/block", "pci": "/bus/pci/devices"}


class Hardware:
    """One look at the host's hardware: what it has read it keeps, so make one for each look.

    It blocks. What is missing or odd in /dev and /sys never raises. `names` outlives looks.
    """

    def __init__(self, root: HostRoot, names: NodeNames | None = None) -> None:
        self._nodes = _Nodes(root, names or NodeNames(root))
        self._devices = _Devices(str(root.sys), self._nodes)
        self._reached: dict[
            HardwareKey, tuple[tuple[HardwareKey, ...], tuple[HardwareKey, ...]]
        ] = {}

    def roots(self, nodes: Iterable[str], own: Uses = NO_USES) -> dict[HardwareKey, Use]:
        """Return what a device is that has these nodes, given as host paths, and uses of its own.

        A node is used alone, unless `own` names it, and not at all in `OPENED_BY_MANY`. Its key is
        its device number. "path X" becomes a number likewise, and where there is none, the path
        with all links followed. Other keys of `own` stay as they are.
        """
        alone = {f"path {node}": EXCLUSIVE for node in nodes if not self._nodes.for_many(node)}
        return united({self._root(key): use} for key, use in {**alone, **own}.items())

    def expanded(self, roots: Uses) -> dict[HardwareKey, Use]:
        """Return the roots and all that they take with them.

        Two holders collide if and only if the uses of one key meet. What a root drives has the
        root's use: its device in the kernel, the IOMMU group of a vfio node. All that this is a
        part of is used as `PART`: devices above, the physical function of a virtual one, the
        disks below a logical volume or a loop device.
        """
        return united(part for key, use in roots.items() for part in self._uses(key, use))

    def _root(self, key: HardwareKey) -> HardwareKey:
        return self._nodes.key(key.removeprefix("path ")) if key.startswith("path ") else key

    def _uses(self, key: HardwareKey, use: Use) -> Iterator[Uses]:
        if key.startswith(_ONLY_OURS):
            yield {key: use}
            return
        if key not in self._reached:
            taken = self._devices.taken(key)
            self._reached[key] = tuple(taken), tuple(self._devices.above(taken.values()))
        whole, parts = self._reached[key]
        yield dict.fromkeys(whole, use)
        yield dict.fromkeys(parts, PART)


class _Nodes:
    """Device nodes and other paths of the host, looked at without opening them."""

    def __init__(self, root: HostRoot, names: NodeNames) -> None:
        self._root = root
        self._names = names
        self._top = str(root.root).rstrip("/")
        self._seen: dict[str, tuple[str, HardwareKey]] = {}
        self._listed: Mapping[str, HardwareKey] | None = None

    def key(self, path: str) -> HardwareKey:
        """Return the key of what is at a path."""
        return self._look(path)[1]

    def for_many(self, path: str) -> bool:
        """Return whether the node is made to be opened by many, or a link to such a one."""
        if path in OPENED_BY_MANY:
            return True
        place, key = self._look(path)
        return place in OPENED_BY_MANY or key in NUMBERS_FOR_MANY

    def _look(self, path: str) -> tuple[str, HardwareKey]:
        """Return where the path leads to, and the key of that."""
        if path not in self._seen:
            place, number = path, self._number(path)
            if not number:
                place = self._resolved(path)
                number = self._number(place) or self._number_in_sysfs(place)
            self._seen[path] = place, number or f"path {place}"
        return self._seen[path]

    def _resolved(self, path: str) -> str:
        try:
            return self._root.resolve(path)
        except (OSError, ValueError):
            return path

    def _number(self, path: str) -> HardwareKey:
        """Return the key of a device node, "" for anything else."""
        if ".." in path.split("/"):
            return ""
        try:
            found = os.lstat(self._top + path)
        except (OSError, ValueError):
            return ""
        number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
        if stat.S_ISCHR(found.st_mode):
            return intern(f"char {number}")
        return intern(f"block {number}") if stat.S_ISBLK(found.st_mode) else ""

    def _number_in_sysfs(self, path: str) -> HardwareKey:
        """Return the key of a node that cannot be seen, where the host's /dev is not mounted."""
        if not path.startswith("/dev/"):
            return ""
        if self._listed is None:
            self._listed = self._names.read()
        return self._listed.get(path.removeprefix("/dev/"), "")


class _Thing(msgspec.Struct, frozen=True):
    """A key, and the path below /sys where the kernel has the device, "" where it has none."""

    key: HardwareKey
    devpath: str


class _Devices:
    """The kernel's devices, and how the links of /sys relate them."""

    def __init__(self, sysfs: str, nodes: _Nodes) -> None:
        self._sysfs = sysfs
        self._nodes = nodes
        self._above: dict[str, tuple[_Thing, ...]] = {}

    def taken(self, key: HardwareKey) -> dict[HardwareKey, str]:
        """Return what is driven through a piece of hardware, itself first, with the devpaths."""
        found: dict[HardwareKey, str] = {}
        todo = [_Thing(key, self._devpath(key))]
        while todo:
            thing = todo.pop()
            if thing.key not in found:
                found[thing.key] = thing.devpath
                todo += self._driven(thing)
        return found

    def above(self, devpaths: Iterable[str]) -> set[HardwareKey]:
        """Return what the devices are parts of, at any distance."""
        found: dict[HardwareKey, str] = {}
        todo = [devpath for devpath in devpaths if devpath]
        while todo:
            for thing in self._next_above(todo.pop()):
                if thing.key not in found:
                    found[thing.key] = thing.devpath
                    todo.append(thing.devpath)
        return {*found}

    def _devpath(self, key: HardwareKey) -> str:
        kind, _, name = key.partition(" ")
        if kind == "sys":
            whole = name.startswith("/devices/") and posixpath.normpath(name) == name
            return name if whole else ""
        return self._leads(f"{_BY_NAME[kind]}/{name}") if kind in _BY_NAME else ""

    def _driven(self, thing: _Thing) -> Iterator[_Thing]:
        """Yield what a thing is or drives besides, but not what those drive in turn."""
        kind, _, name = thing.key.partition(" ")
        if kind == "iommu":
            yield from self._members(name)
        elif not thing.devpath:
            return
        elif (device := _thing(thing.devpath)) != thing:
            yield device
        elif kind == "sys":
            yield from self._driven_by_node(thing.devpath)
        elif "vfio" in (link_name(f"{self._sysfs}{thing.devpath}/driver") or ""):
            yield from self._group(thing.devpath)

    def _driven_by_node(self, devpath: str) -> Iterator[_Thing]:
        """Yield the devices that are driven, as a whole, by the node of another."""
        parent, _, name = devpath.rpartition("/")
        above, _, kind = parent.rpartition("/")
        if kind in _DRIVES_ABOVE and above != "/devices/virtual":
            yield _thing(above)
        if kind == "vfio-dev":  # kernel 6.1, drivers/vfio/vfio_main.c
            yield from self._group(above)
        if parent == "/devices/virtual/vfio":  # kernel, drivers/vfio/group.c, vfio_group_alloc
            yield _Thing(f"iommu {name.removeprefix('noiommu-')}", "")
        if _NVME_GENERIC.fullmatch(name):
            yield _thing(f"{parent}/nvme{name[2:]}")
        if _OF_INPUT.fullmatch(devpath):
            yield _thing(parent)
        if _WATCHDOG.fullmatch(devpath):
            first = self._leads("/class/watchdog/watchdog0")
            yield _thing(first) if first else _Thing("watchdog 0", "")

    def _group(self, devpath: str) -> Iterator[_Thing]:
        """Yield the IOMMU group of a device."""
        name = link_name(f"{self._sysfs}{devpath}/iommu_group")
        if name:
            yield _Thing(f"iommu {name}", "")

    def _members(self, group: str) -> Iterator[_Thing]:
        """Yield the devices of an IOMMU group: who drives one may give all of them memory."""
        folder = f"/kernel/iommu_groups/{group}/devices"
        for name in names_in(f"{self._sysfs}{folder}") if "/" not in group else ():
            devpath = self._leads(f"{folder}/{name}")
            if devpath:
                yield _thing(devpath)
            elif _PCI_ADDRESS.fullmatch(name):
                yield _Thing(f"pci {name}", "")

    def _next_above(self, devpath: str) -> tuple[_Thing, ...]:
        if devpath not in self._above:
            self._above[devpath] = tuple(map(_thing, self._read_above(devpath)))
        return self._above[devpath]

    def _read_above(self, devpath: str) -> Iterator[str]:
        parent, _, name = devpath.rpartition("/")
        if parent.count("/") > 1:
            yield parent
        if _PCI_ADDRESS.fullmatch(name):
            yield from filter(None, [self._leads(f"{devpath}/physfn")])
        elif parent.endswith("/block"):
            yield from self._links(f"{devpath}/slaves")
            yield from filter(None, [self._backing(devpath)])
        elif parent.endswith("/nvme-subsystem"):
            # The controllers of a namespace that several may reach; the kernel has it below none
            # of them (drivers/nvme/host/multipath.c and core.c, nvme_init_subsystem).
            yield from self._links(devpath)

    def _backing(self, devpath: str) -> str:
        """Return the disk that a loop device has in the place of a file, "" for none."""
        if not _LOOP.fullmatch(devpath):
            return ""
        path = read_text(f"{self._sysfs}{devpath}/loop/backing_file") or ""
        key = self._nodes.key(path) if path.startswith("/dev/") else ""
        return self._devpath(key) if key.startswith("block ") else ""

    def _links(self, folder: str) -> Iterator[str]:
        targets = (self._leads(f"{folder}/{name}") for name in names_in(f"{self._sysfs}{folder}"))
        return filter(None, targets)

    def _leads(self, link: str) -> str:
        """Return the devpath that a link below /sys leads to, "" where it leads to no device."""
        try:
            target = os.readlink(f"{self._sysfs}{link}")  # noqa: PTH115 - far quicker
        except (OSError, ValueError):
            return ""
        folder = "" if target.startswith("/") else f"/sys{link.rpartition('/')[0]}/"
        found = posixpath.normpath(folder + target)
        return found[4:] if found.startswith("/sys/devices/") else ""


def _thing(devpath: str) -> _Thing:
    name = devpath.rpartition("/")[2]
    return _Thing(f"pci {name}" if _PCI_ADDRESS.fullmatch(name) else f"sys {devpath}", devpath)
