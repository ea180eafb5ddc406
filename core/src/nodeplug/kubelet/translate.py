"""Between our values and the kubelet's messages."""

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.pool import ListedDevice
from nodeplug.values.edits import ContainerEdits


def encode_listed(device: ListedDevice) -> bytes:
    """Return a ListAndWatchResponse of one device.

    The encoding of a repeated field is the concatenation of its entries, so that a list is the
    joined bytes of its devices.
    """
    # R35: a topology that is present but empty hides the device.
    topology = (
        api.TopologyInfo(nodes=[api.NUMANode(ID=node) for node in device.numa_nodes])
        if device.numa_nodes
        else None
    )
    entry = api.Device(ID=device.id, health=device.health.value, topology=topology)
    return api.ListAndWatchResponse(devices=[entry]).SerializeToString()


def to_container_response(edits: ContainerEdits) -> api.ContainerAllocateResponse:
    """Return the edits as the kubelet's message. Hooks have no field in it and are left out."""
    response = api.ContainerAllocateResponse()
    if edits.envs:
        response.envs.update(edits.envs)
    if edits.annotations:
        response.annotations.update(edits.annotations)
    for mount in edits.mounts:
        response.mounts.add(
            container_path=mount.container_path,
            host_path=mount.host_path,
            read_only=mount.read_only,
        )
    for node in edits.nodes:
        response.devices.add(
            container_path=node.container_path,
            host_path=node.host_path,
            permissions=node.permissions,
        )
    for name in edits.cdi_devices:
        response.cdi_devices.add(name=name)
    return response
