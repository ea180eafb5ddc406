"""What a container is told of its devices: `PCIDEVICE_…` and `PCIDEVICE_…_INFO`.

Everything is derived from devices, the public name and the configuration, so that equal requests
get equal answers. Workloads parse these texts: names, order and form are those of the SR-IOV
network device plugin.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from nodeplug.values.device import Device
from nodeplug_sriov_net.facts import is_uio
from nodeplug_sriov_net.nodes import IOMMUFD, TUN, VFIO, VHOST_NET
from nodeplug_sriov_net.selector_settings import SelectorSettings
from nodeplug_sriov_net.settings import PoolSettings

Facts = dict[str, str]

# Go's encoding/json, which consumers are used to, writes these so.
_ESCAPED = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}
_RDMA_KINDS = ("uverbs", "umad", "issm", "rdma_cm")


def envs_of(
    resource: str, devices: Sequence[Device], pools: Mapping[str, PoolSettings]
) -> dict[str, str]:
    """Return the variables for devices of one public resource, in their order.

    A name with hyphens is no legal name for a shell: the variables are given under one with
    underscores too, unless another pool has that.
    """
    info = {device.id: dict(_providers(device, pools)) for device in devices}
    values = {"": ",".join(info), "_INFO": _json(info)}
    names = [env_name(resource)]
    alias = names[0].replace("-", "_")
    if alias not in map(env_name, pools):
        names.append(alias)
    return {f"{name}{suffix}": value for name in names for suffix, value in values.items()}


def env_name(resource: str) -> str:
    """Return the name of the variable: of `intel.com/a-b`, `PCIDEVICE_INTEL_COM_A-B`."""
    return "PCIDEVICE_" + resource.replace("/", "_").replace(".", "_").upper()


def _json(info: Mapping[str, Mapping[str, Facts]]) -> str:
    text = msgspec.json.encode(info, order="deterministic").decode()
    for letter, escaped in _ESCAPED.items():
        text = text.replace(letter, escaped)
    return text


def _providers(device: Device, pools: Mapping[str, PoolSettings]) -> Iterator[tuple[str, Facts]]:
    yield "generic", {"deviceID": device.id}
    nodes = {node.host_path: node.container_path for node in device.edits.nodes}
    driver = str(device.attributes.get("driver", ""))
    if VFIO in nodes or IOMMUFD in nodes:
        yield "vfio", _vfio(nodes)
    if is_uio(driver) and not is_sub_function(device):
        yield "uio", _mount(nodes, "/dev/uio")
    if extra := _extra(device, pools):
        yield "extra", extra
    selector = selector_of(device, pools)
    if selector.is_rdma:
        yield "rdma", _rdma(device, nodes)
    if selector.vdpa_type:
        yield "vdpa", _mount(nodes, "/dev/vhost-vdpa-")
    if VHOST_NET in nodes:
        yield "vhost", {"net-mount": VHOST_NET, "tun-mount": TUN}


def is_sub_function(device: Device) -> bool:
    """Return whether a device is part of the PCI function that it names."""
    return device.attributes.get("pciAddress") != device.id


def selector_of(device: Device, pools: Mapping[str, PoolSettings]) -> SelectorSettings:
    """Return the selector by which a device is in its pool."""
    pool = pools.get(device.resource)
    number = device.attributes.get("selector", 0)
    if pool is None or not isinstance(number, int) or number >= len(pool.selectors):
        return SelectorSettings()
    return pool.selectors[number]


def _mount(nodes: Iterable[str], prefix: str) -> Facts:
    return next(({"mount": path} for path in nodes if path.startswith(prefix)), {})


def _vfio(nodes: Mapping[str, str]) -> Facts:
    facts = {}
    for host, inside in nodes.items():
        if host == VFIO:
            facts["mount"] = inside
        elif host == IOMMUFD:
            facts["iommufd"] = inside
        elif host.startswith("/dev/vfio/devices/"):
            facts["cdev"] = inside
        elif host.startswith("/dev/vfio/"):
            facts["dev-mount"] = inside
    return facts


def _rdma(device: Device, nodes: Iterable[str]) -> Facts:
    facts = {
        kind: path
        for path in nodes
        for kind in _RDMA_KINDS
        if path.startswith(f"/dev/infiniband/{kind}")
    }
    name = str(device.attributes.get("rdmaDevice", "")).partition(",")[0]
    return facts | ({"rdma_dev": name} if name else {})


def _extra(device: Device, pools: Mapping[str, PoolSettings]) -> Facts:
    pool = pools.get(device.resource)
    info = pool.additional_info if pool else {}
    return {**info.get("*", {}), **info.get(str(device.attributes.get("pciAddress")), {})}
