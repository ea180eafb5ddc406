"""What is wrong with a node: `nodeplug doctor`."""

from collections.abc import Iterator, Sequence
from typing import Final

from nodeplug.backend import Finding
from nodeplug.host.nodes import node_type
from nodeplug.host.pci import PciDevice, pci_devices
from nodeplug.host.root import HostRoot
from nodeplug_nvidia_gpu.driver_files import DriverFiles
from nodeplug_nvidia_gpu.explain import look_once
from nodeplug_nvidia_gpu.library import Library
from nodeplug_nvidia_gpu.settings import NvidiaGpuSettings
from nodeplug_nvidia_gpu.units import units
from nodeplug_nvidia_gpu.view import View

_VENDOR: Final = "10de"
# PCI: display controllers.
_DISPLAYS: Final = "03"
_OTHER_PLUGIN: Final = "/var/lib/kubelet/device-plugins/nvidia-gpu.sock"


def findings(settings: NvidiaGpuSettings, root: HostRoot) -> Sequence[Finding]:
    """Look at the driver, the GPUs and the host; it may block."""
    view = look_once(settings, root)
    cards = [each for each in pci_devices(root) if _is_gpu(each)]
    return [
        *_of_driver(view, cards),
        *_of_gpus(settings, view),
        *_of_facts(view),
        *_of_hook(settings, root, view),
        *_of_nodes(settings, root, view),
        *_of_host(root),
    ]


def _is_gpu(device: PciDevice) -> bool:
    return device.vendor == _VENDOR and device.device_class.startswith(_DISPLAYS)


def _of_driver(view: View, cards: Sequence[PciDevice]) -> Iterator[Finding]:
    for card in cards:
        if card.driver == "nouveau":
            yield Finding("problem", card.address, "driven by nouveau", "install NVIDIA's driver")
    if view.problem and cards:
        remedy = "install or load the driver, and let the agent see it: see driverRoot"
        finding = f"{len(cards)} GPUs, and no driver that works: {view.problem}"
        yield Finding("problem", "driver", finding, remedy)
    elif not view.problem and 0 < len(view.gpus) + len(view.strangers) < len(cards):
        known = {gpu.address for gpu in view.gpus}
        missing = ", ".join(card.address for card in cards if card.address not in known)
        finding = f"the driver lists fewer GPUs than the PCI bus has: not {missing}"
        yield Finding("warning", "driver", finding, "look for their errors in the kernel's log")


def _of_gpus(settings: NvidiaGpuSettings, view: View) -> Iterator[Finding]:
    hung = dict.fromkeys(view.silent, "does not answer: calls of the driver hang")
    told = {device: problem for device, _, problem in (s.partition(": ") for s in view.strangers)}
    for device, problem in {**hung, **told}.items():
        yield Finding("problem", device, problem, "reset the GPU or restart the node")
    for uuid, conditions in view.conditions.items():
        for reason in conditions.values():
            yield Finding("problem", uuid, reason, "drain the node and reset the GPU")
    served, omitted = units(view.gpus, settings.mig_strategy)
    for unit in served:
        if unit.oddity:
            remedy = "make the same slices on all GPUs, or set migStrategy to mixed"
            yield Finding("warning", unit.uuid, unit.oddity, remedy)
    for each in omitted:
        yield Finding("warning", each.gpu.uuid, each.reason, "make slices or switch MIG off")


def _of_facts(view: View) -> Iterator[Finding]:
    for gpu in view.gpus:
        if gpu.failed:
            finding = f"the driver does not tell its {', '.join(gpu.failed)}"
            yield Finding("warning", gpu.uuid, finding, "look for its errors in the kernel's log")


def _of_hook(settings: NvidiaGpuSettings, root: HostRoot, view: View) -> Iterator[Finding]:
    by_cdi = any(each.startswith("cdi-") for each in settings.device_list_strategy)
    if by_cdi and view.gpus and not DriverFiles(root, settings).hook():
        wanted = settings.cdi.hook_path or "nvidia-cdi-hook and nvidia-ctk"
        finding = f"{wanted} not there: containers' library caches lack the driver's libraries"
        remedy = "install the container toolkit or set cdi.hookPath, unless specifications of the "
        yield Finding("warning", "CDI hook", finding, f"{remedy}toolkit name all GPUs")


def _of_nodes(settings: NvidiaGpuSettings, root: HostRoot, view: View) -> Iterator[Finding]:
    wanted = {f"/dev/nvidia{gpu.minor}" for gpu in view.gpus if gpu.minor is not None}
    library = Library(root, settings)
    for path in sorted(wanted | {"/dev/nvidiactl", "/dev/nvidia-uvm"} if wanted else ()):
        if node_type(library.node(path)) is None:
            host_path = settings.nodes_root + path
            yield Finding("warning", host_path, "is not there", "run nvidia-modprobe -u -c=0")


def _of_host(root: HostRoot) -> Iterator[Finding]:
    if root.find(_OTHER_PLUGIN).is_socket():
        finding = "NVIDIA's device plugin is or was here; it registers the same resources"
        yield Finding("warning", _OTHER_PLUGIN, finding, "remove that plugin, then this file")
