"""The kubelet's own sockets."""

from pathlib import Path

from nodeplug.backend import Finding
from nodeplug.kubelet.greeting import silence_at
from nodeplug.kubelet.sockets import KUBELET_SOCKET
from nodeplug.operations.doctor.patient import Patient, problem, warning


async def registration(patient: Patient) -> list[Finding]:
    """Look whether there is a kubelet to register with."""
    socket = patient.plugin_dir / KUBELET_SOCKET
    rule = "devices are advertised to the kubelet that listens there (R6)"
    if not _exists(socket):
        remedy = "start the kubelet; if it runs, mount its own directory here"
        return [problem(str(socket), "is not there", remedy, rule)]
    silence = await silence_at(socket)
    remedy = "start the kubelet, or look into its log"
    return [problem(str(socket), f"does not answer: {silence}", remedy, rule)] if silence else []


async def pod_resources(patient: Patient) -> list[Finding]:
    """Look whether the kubelet says which container has which device."""
    socket = patient.pod_resources
    rule = "without it, ids of vanished devices stay listed, and no pod is named (R33)"
    if not _exists(socket):
        remedy = f"mount {socket.parent} here, or set kubelet.podResourcesSocket"
        return [warning(str(socket), "is not there", remedy, rule)]
    silence = await silence_at(socket)
    remedy = "restart the kubelet, or look into its log"
    return [warning(str(socket), f"does not answer: {silence}", remedy, rule)] if silence else []


def _exists(path: Path) -> bool:
    return path.exists()
