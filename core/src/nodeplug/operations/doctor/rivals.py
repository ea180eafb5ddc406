"""Other device plugins that serve what these backends would serve."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from nodeplug.backend import Finding
from nodeplug.holdings import Key
from nodeplug.kubelet.evidence import CHECKPOINT
from nodeplug.kubelet.registered import read_registered
from nodeplug.kubelet.served import Served, served_devices
from nodeplug.kubelet.sockets import KUBELET_SOCKET
from nodeplug.operations.doctor.instances import alive
from nodeplug.operations.doctor.patient import Patient, problem


async def rivals(patient: Patient) -> list[Finding]:
    """Look for resources of ours with devices that no agent of ours lists.

    Nobody can be asked which resource a socket serves; and a list asked of another vendor's
    plugin could be lost for the kubelet. So its checkpoint is compared with our own lists.
    """
    return list(_rivals(patient, await served_devices(patient.plugin_dir)))


def _rivals(patient: Patient, served: Mapping[Key, Served]) -> Iterator[Finding]:
    sockets = sorted(_foreign_sockets(patient.plugin_dir))
    registered = read_registered(patient.plugin_dir / CHECKPOINT) if sockets else {}
    for resource in patient.offers():
        own = {device for name, device in served if name == resource}
        if not own.issuperset(registered.get(resource, ())):
            yield problem(
                resource,
                f"is served by another device plugin, which may be at {', '.join(sockets)}",
                "remove that plugin from this node; running pods keep their devices",
                "the kubelet takes the lists of both, and drops one when the other ends (R15)",
            )


def _foreign_sockets(folder: Path) -> Iterator[str]:
    for path in folder.glob("*"):
        if path.name != KUBELET_SOCKET and path.is_socket() and alive(path):
            yield path.name
