"""What is wrong with a node for this backend: `nodeplug doctor`."""

from collections.abc import Collection, Iterator, Sequence

from nodeplug.backend import Finding
from nodeplug.host.root import HostRoot
from nodeplug_sriov_net.facts import Function
from nodeplug_sriov_net.memory import Memory
from nodeplug_sriov_net.nodes import SharedNodes, shared_nodes
from nodeplug_sriov_net.pools import NO_CDEV, NO_GROUP, Member, Pools
from nodeplug_sriov_net.settings import PoolSettings, SriovNetSettings
from nodeplug_sriov_net.survey import SILENT, Survey, blind
from nodeplug_sriov_net.uplinks import tunnels
from nodeplug_sriov_net.view import Heard, Viewer


def findings(settings: SriovNetSettings, root: HostRoot) -> Sequence[Finding]:
    """Look at the host by /sys and /proc alone and return what an operator should know. Blocks."""
    survey = Survey(root)
    functions = survey.look()
    pools, memory = Pools(settings), Memory()
    devices = Viewer(root, pools, memory).candidates(functions, Heard())
    members = [member for each in devices if (member := pools.member(each, memory))]
    shared = shared_nodes(root)
    return [
        *_namespace(functions.values()),
        *map(_tunnel, sorted(tunnels(root))),
        *map(_silent, survey.reads.silent),
        *(found for pool in settings.pools for found in _pool(pool, members, shared)),
        *(found for member in members for found in _member(member)),
        *_groups(members),
    ]


def _namespace(functions: Collection[Function]) -> Iterator[Finding]:
    if count := blind(functions):
        yield Finding(
            severity="problem",
            subject="network namespace",
            finding=f"none of {count} adapters shows a network device",
            remedy="run the agent in the host's network namespace (hostNetwork: true)",
        )


def _tunnel(name: str) -> Finding:
    return Finding(
        severity="warning",
        subject=name,
        finding="a default route leads out of it, and the kernel does not tell what it lies upon",
        remedy="leave out by selectors (`!`) what carries it; it is not guarded as an uplink",
    )


def _silent(address: str) -> Finding:
    return Finding(
        severity="problem",
        subject=address,
        finding=SILENT,
        remedy="see what holds it in /proc/*/stack and the kernel log; reset it, or the host",
    )


def _pool(pool: PoolSettings, members: Sequence[Member], shared: SharedNodes) -> Iterator[Finding]:
    if not any(member.pool is pool for member in members):
        yield Finding(
            severity="warning",
            subject=pool.name,
            finding="no device is in the pool",
            remedy="`nodeplug devices --explain` says why each device is not",
        )
    if any(each.need_vhost_net for each in pool.selectors) and not shared.vhost_net:
        yield _missing_node(pool, "/dev/vhost-net", "vhost_net")
    if any(each.is_rdma for each in pool.selectors) and not shared.rdma_cm:
        yield _missing_node(pool, "/dev/infiniband/rdma_cm", "rdma_ucm")


def _missing_node(pool: PoolSettings, node: str, module: str) -> Finding:
    return Finding(
        severity="warning",
        subject=pool.name,
        finding=f"containers do without {node}, which is not there",
        remedy=f"load the kernel module {module}",
    )


def _member(member: Member) -> Iterator[Finding]:
    function = member.device.function
    if function.hindrance:
        yield Finding(
            severity="problem",
            subject=member.device.id,
            finding=f"VFIO cannot have it: {function.hindrance}",
            remedy="unbind that driver; pci-stub keeps others away",
        )
    elif member.reason in {NO_CDEV, NO_GROUP}:
        yield Finding(
            severity="problem",
            subject=member.device.id,
            finding=member.reason,
            remedy=f"set `vfio: both` for {member.pool.name}, which gives the nodes there are",
        )
    elif member.reason:
        yield Finding(
            severity="problem",
            subject=member.device.id,
            finding=member.reason,
            remedy="bind the driver that the pool expects, or change the pool's selectors",
        )
    elif function.by_vfio and function.noiommu:
        yield Finding(
            severity="warning",
            subject=member.device.id,
            finding="no IOMMU stands between the device and the host's memory",
            remedy="switch the IOMMU on in firmware and kernel, unless this is meant",
        )
    elif function.by_vfio and not function.group:
        yield Finding(
            severity="problem",
            subject=member.device.id,
            finding="it is bound to VFIO but in no IOMMU group",
            remedy="switch the IOMMU on in firmware and kernel",
        )


def _groups(members: Sequence[Member]) -> Iterator[Finding]:
    """Say which devices VFIO gives to one container only."""
    groups: dict[str, list[str]] = {}
    for member in members:
        if member.device.function.by_vfio:
            groups.setdefault(member.device.function.group, []).append(member.device.id)
    for group, ids in groups.items():
        if group and len(ids) > 1:
            yield Finding(
                severity="warning",
                subject=f"IOMMU group {group}",
                finding=f"while a container has one of {', '.join(ids)}, no other gets the rest",
                remedy="let one container have all; the platform's PCI ACS would part them",
            )
