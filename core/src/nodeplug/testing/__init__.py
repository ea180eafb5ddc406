"""For tests of device plugins and of backends.

`Kubelet` plays the kubelet for any v1beta1 plugin: it registers, lists, admits pods and keeps
their devices over restarts, with the real one's limits, texts and faults (`Profile`). `Clock`
makes its minutes pass in milliseconds. In short:

    async with Kubelet(directory, pod_resources=socket, clock=Clock(scale=60)) as kubelet:
        ...  # start the plugin
        await kubelet.until(lambda: kubelet.capacity("example.com/gpu") == Capacity(4, 4))
        pod = Pod.of({"example.com/gpu": 2})
        runs = await kubelet.admit(pod)  # ContainerRun by container; or AdmissionError
        await kubelet.start_container(pod, "c0")  # PreStartContainer; or StartError
        rejected = await kubelet.restart()  # die, clean, come back, admit all pods again
        await kubelet.remove(pod)

`journal` has all events, and the violations: what would crash a real kubelet or give a device
away twice. Those that are left at the end of the context raise `ViolationError`. Registrations,
lists and the like come from `journal.of(kind)`; `node_status`, `pod_status`, `devices`, `held`
and `run_options` tell the rest. What pods have is in the kubelet's checkpoint in the directory:
a test may break it, or start another `Kubelet` there and `readmit` the pods.
`nodeplug.testing.contract` is the suite that every backend passes.
"""

from nodeplug.testing.kubelet.clients import Profile
from nodeplug.testing.kubelet.clock import Clock
from nodeplug.testing.kubelet.devices import Capacity
from nodeplug.testing.kubelet.errors import AdmissionError, AffinityError, Refusal, StartError
from nodeplug.testing.kubelet.journal import Event, Violation
from nodeplug.testing.kubelet.kubelet import Kubelet, ViolationError
from nodeplug.testing.kubelet.order import Order
from nodeplug.testing.kubelet.pods import Container, ContainerRun, Pod
from nodeplug.testing.kubelet.topology import Topology

__all__ = [
    "AdmissionError",
    "AffinityError",
    "Capacity",
    "Clock",
    "Container",
    "ContainerRun",
    "Event",
    "Kubelet",
    "Order",
    "Pod",
    "Profile",
    "Refusal",
    "StartError",
    "Topology",
    "Violation",
    "ViolationError",
]
