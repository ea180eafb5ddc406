"""The versions of pod resources that one server answers (R85)."""

import grpc.aio

from nodeplug.kubelet.api import podresources_v1_pb2_grpc as v1_grpc
from nodeplug.kubelet.api import podresources_v1alpha1_pb2_grpc as alpha_grpc
from nodeplug.testing.kubelet.clients import Profile
from nodeplug.testing.kubelet.clock import Clock
from nodeplug.testing.kubelet.devices import DeviceTables
from nodeplug.testing.kubelet.known_pods import KnownPods
from nodeplug.testing.kubelet.podresources import PodResources, RateLimit
from nodeplug.testing.kubelet.podresources_alpha import PodResourcesAlpha


def add_pod_resources(
    server: grpc.aio.Server, tables: DeviceTables, pods: KnownPods, clock: Clock, profile: Profile
) -> None:
    """Add v1 and v1alpha1, with one limit for both."""
    limit = RateLimit(clock)
    v1 = PodResources(tables, pods, limit, profile)
    v1_grpc.add_PodResourcesListerServicer_to_server(v1, server)  # type: ignore[arg-type]
    alpha = PodResourcesAlpha(tables, pods, limit)
    alpha_grpc.add_PodResourcesListerServicer_to_server(alpha, server)  # type: ignore[arg-type]
