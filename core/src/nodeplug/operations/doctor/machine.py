"""What firmware and kernel must give for devices to be used well: IOMMU, NUMA, watches."""

from collections.abc import Iterator

from nodeplug.backend import Finding
from nodeplug.host.watch import shortage
from nodeplug.operations.doctor.patient import Patient, problem, warning
from nodeplug.values.device import Device

_VFIO = "/dev/vfio/"
_VFIO_CONTAINER = "/dev/vfio/vfio"


def iommu(patient: Patient) -> Iterator[Finding]:
    """Look for an IOMMU where devices are given to user-space drivers."""
    groups = patient.root.sys / "kernel/iommu_groups"
    for name, inventory in patient.found.items():
        count = sum(map(_wants_iommu, inventory.devices.values()))
        if count and not any(groups.glob("*")):
            yield problem(
                f"backend {name}",
                f"{count} devices are bound to VFIO, and there are no IOMMU groups",
                "switch the IOMMU on in firmware and on the kernel's command line",
                "without it VFIO cannot keep a device from the host's memory",
            )


def numa(patient: Patient) -> Iterator[Finding]:
    """Compare the NUMA nodes of devices with those of the machine."""
    nodes = {
        int(number)
        for each in (patient.root.sys / "devices/system/node").glob("node*")
        if (number := each.name.removeprefix("node")).isdecimal()
    }
    for name, inventory in patient.found.items():
        devices = inventory.devices.values()
        blind = sum(bool(device.location) and not device.numa_nodes for device in devices)
        if len(nodes) > 1 and blind:
            remedy = "look for a firmware update or setting; the kernel shows -1 in numa_node"
            finding = f"{blind} devices have no NUMA node, on a machine with {len(nodes)}"
            rule = "the kubelet cannot align them with CPUs and memory (R35)"
            yield warning(f"backend {name}", finding, remedy, rule)
        unknown = {node for device in devices for node in device.numa_nodes} - nodes
        if nodes and unknown:
            finding = f"devices are on NUMA nodes {sorted(unknown)}, which the machine has not"
            remedy = "correct the setting, or the driver, that names them"
            rule = "the kubelet drops nodes that it does not know (R35)"
            yield warning(f"backend {name}", finding, remedy, rule)


def watches(_: Patient) -> Iterator[Finding]:
    """Try whether the kernel lets directories be watched."""
    if trouble := shortage():
        remedy = "raise fs.inotify.max_user_instances and fs.inotify.max_user_watches"
        finding = f"directories cannot be watched: {trouble}"
        yield warning("inotify", finding, remedy, "the agent then looks every 2 s")


def _wants_iommu(device: Device) -> bool:
    paths = [node.host_path for node in device.edits.nodes]
    return any(path.startswith(_VFIO) and path != _VFIO_CONTAINER for path in paths)
