"""Device-info files: what a CNI plugin is told of a device, by way of Multus.

Paths and form are those of the Device Information Specification 1.1.0 of the Network Plumbing
Working Group, and the order of keys that of its Go types.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from nodeplug.backend import HostFile
from nodeplug.values.device import Device
from nodeplug_sriov_net.info import selector_of
from nodeplug_sriov_net.nodes import VHOST_NET
from nodeplug_sriov_net.settings import PoolSettings

FOLDER: Final = "/var/run/k8s.cni.cncf.io/devinfo/dp"
_VERSION: Final = "1.1.0"
_MODE: Final = 0o444


def files_of(
    offers: Mapping[str, Sequence[Device]], pools: Mapping[str, PoolSettings]
) -> list[HostFile]:
    """Return a file for every network device, under the public name of its resource."""
    return [
        HostFile(
            path=f"{FOLDER}/{resource.replace('/', '-')}-{device.id}-device.json",
            data=msgspec.json.encode(_info(device, pools)),
            resource=resource,
            device=device.id,
            mode=_MODE,
        )
        for resource, devices in offers.items()
        for device in devices
        if (pool := pools.get(device.resource)) and pool.device_type != "accelerator"
    ]


def _info(device: Device, pools: Mapping[str, PoolSettings]) -> dict[str, object]:
    kind = selector_of(device, pools).vdpa_type
    facts = dict(_vdpa(device, kind) if kind else _pci(device, pools))
    return {
        "type": "vdpa" if kind else "pci",
        "version": _VERSION,
        "vdpa" if kind else "pci": facts,
    }


def _pci(device: Device, pools: Mapping[str, PoolSettings]) -> Iterator[tuple[str, str]]:
    facts = device.attributes
    yield "pci-address", str(facts["pciAddress"])
    if any(node.host_path == VHOST_NET for node in device.edits.nodes):
        yield "vhost-net", VHOST_NET
    if selector_of(device, pools).is_rdma and "rdmaDevice" in facts:
        yield "rdma-device", str(facts["rdmaDevice"])
    yield from _owner(device)


def _vdpa(device: Device, kind: str) -> Iterator[tuple[str, str]]:
    facts = device.attributes
    yield "parent-device", str(facts.get("vdpaDevice", ""))
    yield "driver", kind
    for node in device.edits.nodes:
        if node.host_path.startswith("/dev/vhost-vdpa-"):
            yield "path", node.host_path
    yield "pci-address", str(facts["pciAddress"])
    yield from _owner(device)


def _owner(device: Device) -> Iterator[tuple[str, str]]:
    if "pfAddress" in device.attributes:
        yield "pf-pci-address", str(device.attributes["pfAddress"])
    if "representor" in device.attributes:
        yield "representor-device", str(device.attributes["representor"])
