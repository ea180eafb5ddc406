"""What core itself needs on the host, by feature; each backend's spec adds its own."""

from nodeplug.backend import ClusterRight, HostMount, Privilege
from nodeplug.config.settings import (
    CDI_DIR,
    FEATURE_DIR,
    LEDGER_DIR,
    PLUGIN_DIR,
    PLUGIN_REGISTRY,
    POD_RESOURCES,
)
from nodeplug.operations.cluster.calls import EVENTS_NAMESPACE

CORE = (
    Privilege(
        feature="serving devices",
        reason="sockets are made beside the kubelet's",
        mounts=[HostMount(PLUGIN_DIR, read_only=False)],
    ),
    Privilege(
        feature="being found by the kubelet",
        setting="kubelet.registration=watcher",
        reason="sockets are made where the kubelet looks for plugins",
        mounts=[HostMount(PLUGIN_REGISTRY, read_only=False)],
    ),
    Privilege(
        feature="knowing what is in use",
        reason="a device that vanished stays listed only as long as a container holds it",
        mounts=[HostMount(POD_RESOURCES.rpartition("/")[0])],
    ),
    Privilege(
        feature="knowing of pods that were deleted by force",
        reason="the kubelet forgets them at once; their devices are in use as long as they have "
        "processes",
        mounts=[HostMount("/sys/fs/cgroup")],
    ),
    Privilege(
        feature="giving nothing twice",
        reason="all agents of a node note there what they have given; one that cannot keeps that "
        "in memory, where no other sees it and a restart loses it",
        mounts=[HostMount(LEDGER_DIR, read_only=False)],
    ),
    Privilege(
        feature="injection through CDI",
        setting="offers[].inject=cdi*",
        reason="specifications are written where the container runtime looks for them",
        mounts=[HostMount(CDI_DIR, read_only=False)],
    ),
    Privilege(
        feature="node labels",
        setting="labels.enabled=true",
        reason="Node Feature Discovery reads files in a directory of the host",
        mounts=[HostMount(FEATURE_DIR, read_only=False)],
    ),
    Privilege(
        feature="Kubernetes Events",
        setting="cluster.events=true",
        reason="Events are objects of the API server",
        rights=[ClusterRight("events", ["create", "patch"], EVENTS_NAMESPACE)],
    ),
    Privilege(
        feature="node condition",
        setting="cluster.condition=true",
        reason="a condition is part of the node's status",
        rights=[ClusterRight("nodes/status", ["patch"])],
    ),
    Privilege(
        feature="removal of a start-up taint",
        setting="cluster.removeTaint=KEY",
        reason="taints are part of the node's specification",
        rights=[ClusterRight("nodes", ["get", "patch"])],
    ),
    Privilege(
        feature="quarantine by an annotation",
        setting="cluster.quarantineAnnotation=KEY",
        reason="annotations are part of the node's metadata",
        rights=[ClusterRight("nodes", ["get", "list", "watch"])],
    ),
)
