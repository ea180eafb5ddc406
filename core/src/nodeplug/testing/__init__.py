"""For tests of device plugins and of backends.

`Kubelet` plays the kubelet for any v1beta1 plugin: it registers, lists, admits pods and keeps
their devices over restarts, with the real one's limits, texts and faults (`Profile`). `Clock`
makes its minutes pass in milliseconds. `nodeplug.testing.contract` is the suite that every
backend passes.
"""

from nodeplug.testing.kubelet.admission import AdmissionError
from nodeplug.testing.kubelet.clients import Profile
from nodeplug.testing.kubelet.clock import Clock
from nodeplug.testing.kubelet.devices import Capacity
from nodeplug.testing.kubelet.journal import Event, Violation
from nodeplug.testing.kubelet.kubelet import Kubelet, ViolationError
from nodeplug.testing.kubelet.pods import Container, ContainerRun, Pod
from nodeplug.testing.kubelet.topology import Topology

__all__ = [
    "AdmissionError",
    "Capacity",
    "Clock",
    "Container",
    "ContainerRun",
    "Event",
    "Kubelet",
    "Pod",
    "Profile",
    "Topology",
    "Violation",
    "ViolationError",
]
