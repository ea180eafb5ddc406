"""The configuration file as types. The schema and docs/configuration.md come from them."""

import os
from typing import Annotated, Any, Literal

import msgspec

from nodeplug.offers import OfferRule, contradictions
from nodeplug.quarantine import QuarantineRule
from nodeplug.values.errors import InvalidValueError
from nodeplug.values.names import ANNOTATION_OR_NONE, KEY_OR_NONE, check_key
from nodeplug.values.section import Section

# R1: the kubelet's --root-dir does not move this directory.
PLUGIN_DIR = "/var/lib/kubelet/device-plugins"
CDI_DIR = "/var/run/cdi"
FEATURE_DIR = "/etc/kubernetes/node-feature-discovery/features.d"
LEDGER_DIR = "/run/nodeplug"
PLUGIN_REGISTRY = "/var/lib/kubelet/plugins_registry"
POD_RESOURCES = "/var/lib/kubelet/pod-resources/kubelet.sock"

# unix(7): the size of sun_path less its terminating NUL.
_SOCKET_LIMIT = 107
# RFC 1035, 2.3.4.
_LABEL_LIMIT = 63


def _check_paths(**paths: str) -> None:
    """Raise ValueError unless all these are whole paths of files, or empty."""
    for key, path in paths.items():
        if path and not (path.startswith("/") and path.isprintable()):
            raise ValueError(f"{key}: must begin with '/' and be printable: {path!r}")


def _check_texts(**texts: str) -> None:
    """Raise ValueError unless all these are printable."""
    for key, text in texts.items():
        if not text.isprintable():
            raise ValueError(f"{key}: must be printable: {text!r}")


def _check_keys(**keys: str) -> None:
    """Raise ValueError unless all these are keys, or empty."""
    for name, key in keys.items():
        try:
            _ = key and check_key(key)
        except InvalidValueError as error:
            raise ValueError(f"{name}: {error}") from error


class KubeletSettings(Section, frozen=True):
    """Where the kubelet is."""

    device_plugin_dir: Annotated[
        str,
        msgspec.Meta(
            description="The kubelet's device plugin directory, as this process sees it. It must "
            "be one mount, readable and writable; at most 71 bytes long."
        ),
    ] = PLUGIN_DIR
    pod_resources_socket: Annotated[
        str,
        msgspec.Meta(
            description="The kubelet's pod resources socket. Without it, ids of vanished devices "
            "stay listed as Unhealthy for the life of the agent."
        ),
    ] = POD_RESOURCES
    registration: Annotated[
        Literal["socket", "watcher"],
        msgspec.Meta(
            description="How the kubelet learns of resources: `socket` calls it; with `watcher` it "
            "finds sockets in its plugin registry directory. Not changed by a reload."
        ),
    ] = "socket"
    plugin_registry_dir: Annotated[
        str,
        msgspec.Meta(
            description="The kubelet's plugin registry directory, as this process sees it; used "
            "with `registration: watcher`. It must be one mount, readable and writable."
        ),
    ] = PLUGIN_REGISTRY

    def __post_init__(self) -> None:
        paths = {
            "devicePluginDir": self.device_plugin_dir,
            "podResourcesSocket": self.pod_resources_socket,
            "pluginRegistryDir": self.plugin_registry_dir,
        }
        _check_paths(**paths)
        for key, path in paths.items():
            if "," in path:
                raise ValueError(f"{key}: gRPC ends the path of a socket at a comma: {path}")
        if (size := len(os.fsencode(self.pod_resources_socket))) > _SOCKET_LIMIT:
            text = f"{size} bytes, the limit is {_SOCKET_LIMIT}: {self.pod_resources_socket}"
            raise ValueError(f"podResourcesSocket: {text}")

    @property
    def registry(self) -> str:
        """The plugin registry directory if resources are to be found there, else empty."""
        return self.plugin_registry_dir if self.registration == "watcher" else ""


class HostSettings(Section, frozen=True):
    """Where the host's file trees are."""

    root: Annotated[
        str, msgspec.Meta(description="The host's root directory, as this process sees it.")
    ] = "/"
    uevents: Annotated[
        str,
        msgspec.Meta(
            description="Where device events come from: `kernel`, or the path of a datagram "
            "socket to listen on (simulated hosts)."
        ),
    ] = "kernel"
    ledger_dir: Annotated[
        str,
        msgspec.Meta(
            description="A directory on a tmpfs of the host, the same for all agents of a node, as "
            "this process sees it. In it each notes what it has given to containers, so that none "
            "gives it a second time. Empty is a directory below `kubelet.devicePluginDir`. Not "
            "changed by a reload."
        ),
    ] = LEDGER_DIR

    def __post_init__(self) -> None:
        uevents = "" if self.uevents == "kernel" else self.uevents
        _check_paths(root=self.root, uevents=uevents, ledgerDir=self.ledger_dir)


class LogSettings(Section, frozen=True):
    """What is logged, and how."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        msgspec.Meta(description="The least severe lines to write."),
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "console"],
        msgspec.Meta(description="`auto` is `console` on a terminal and `json` elsewhere."),
    ] = "auto"


class CdiSettings(Section, frozen=True):
    """Where the container runtime looks for devices."""

    spec_dir: Annotated[
        str,
        msgspec.Meta(
            description="The directory for specification files of resources that are injected "
            "through CDI, the same path here and on the host."
        ),
    ] = CDI_DIR

    def __post_init__(self) -> None:
        _check_paths(specDir=self.spec_dir)


class MetricsSettings(Section, frozen=True):
    """Where metrics and probes are served: `/metrics`, `/healthz`, `/readyz`."""

    enabled: Annotated[
        bool, msgspec.Meta(description="Whether metrics and probes are served at all.")
    ] = True
    address: Annotated[
        str, msgspec.Meta(description="The address to listen on; empty is every address.")
    ] = ""
    port: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            le=65535,
            description="The TCP port; 0 is the backend's own, or 9840 with several backends.",
        ),
    ] = 0
    per_device: Annotated[
        bool,
        msgspec.Meta(
            description="Whether there are series for each device: health, temperature, power and "
            "what else its backend measures."
        ),
    ] = False
    pods: Annotated[
        bool,
        msgspec.Meta(
            description="Whether series for each device name the pod that holds it; needs the pod "
            "resources socket."
        ),
    ] = False

    def __post_init__(self) -> None:
        _check_texts(address=self.address)
        labels = self.address.removesuffix(".").split(".")
        is_one = self.address.isascii() and all(0 < len(each) <= _LABEL_LIMIT for each in labels)
        if self.address and not is_one:
            raise ValueError(f"address: is neither an address nor a name: {self.address!r}")


class ClusterSettings(Section, frozen=True):
    """What the agent tells and asks the API server. Each needs rights there, and `$NODE_NAME`."""

    events: Annotated[
        bool,
        msgspec.Meta(
            description="Whether a lost or recovered device, a refused configuration and a "
            "registration that fails are told as Events of the node."
        ),
    ] = False
    condition: Annotated[
        bool,
        msgspec.Meta(
            description="Whether the node has a condition that says whether all is served: "
            "`NodeplugCustomReady` for the backend `custom`, `NodeplugReady` for several backends."
        ),
    ] = False
    remove_taint: Annotated[
        str,
        msgspec.Meta(
            description="Key of a taint to take from the node once all resources are ready; empty "
            "for none."
        ),
        KEY_OR_NONE,
    ] = ""
    quarantine_annotation: Annotated[
        str,
        msgspec.Meta(
            description="Key of an annotation of the node whose value is a list like `quarantine`, "
            "followed while the agent runs; empty for none."
        ),
        ANNOTATION_OR_NONE,
    ] = ""

    def __post_init__(self) -> None:
        # The API server reads keys of annotations in lower case.
        _check_keys(
            removeTaint=self.remove_taint, quarantineAnnotation=self.quarantine_annotation.lower()
        )


class LabelSettings(Section, frozen=True):
    """Labels of the node that say what hardware it has."""

    enabled: Annotated[
        bool, msgspec.Meta(description="Whether a file for Node Feature Discovery is kept.")
    ] = False
    feature_dir: Annotated[
        str,
        msgspec.Meta(
            description="The directory where Node Feature Discovery looks for files, on the host."
        ),
    ] = FEATURE_DIR

    def __post_init__(self) -> None:
        _check_paths(featureDir=self.feature_dir)


class NodeOverride(Section, frozen=True):
    """What holds on some nodes besides. Names and labels must both fit where both are given."""

    names: Annotated[
        tuple[str, ...] | None,
        msgspec.Meta(description="Globs for the names of nodes; the name is in `$NODE_NAME`."),
    ] = None
    labels: Annotated[
        dict[str, str],
        msgspec.Meta(
            description="Labels that a node has; they are in the JSON file `$NODE_LABELS_FILE`."
        ),
    ] = msgspec.field(default_factory=dict)
    config: Annotated[
        dict[str, Any],
        msgspec.Meta(
            description="Keys as at the top level, merged over them: list entries come first, "
            "other values take the place of the former."
        ),
    ] = msgspec.field(default_factory=dict)


class AgentSettings(Section, frozen=True):
    """A whole configuration file, each backend's section still unread."""

    kubelet: KubeletSettings = KubeletSettings()
    host: HostSettings = HostSettings()
    cdi: CdiSettings = CdiSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    cluster: ClusterSettings = ClusterSettings()
    labels: LabelSettings = LabelSettings()
    offers: Annotated[
        tuple[OfferRule, ...],
        msgspec.Meta(
            description="How resources are advertised; of several rules the first that matches a "
            "device holds. What no rule matches is advertised as its backend names it."
        ),
    ] = ()
    quarantine: Annotated[
        tuple[QuarantineRule, ...],
        msgspec.Meta(
            description="Devices taken out of service: they are Unhealthy until released. "
            "Containers that have them keep them."
        ),
    ] = ()
    nodes: Annotated[
        tuple[NodeOverride, ...],
        msgspec.Meta(description="What holds on some nodes besides, in this order."),
    ] = ()
    backends: Annotated[
        dict[str, Any],
        msgspec.Meta(description="One section per backend, by its entry-point name."),
    ] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        names = {rule.public_name: rule.resource for rule in reversed(self.offers)}
        for number, rule in enumerate(self.offers):
            if names[rule.public_name] != rule.resource:
                raise ValueError(
                    f"offers[{number}]: {rule.resource} and {names[rule.public_name]} would both "
                    f"be {rule.public_name}; choose another name for one of them"
                )
        for number, key in contradictions(self.offers):
            raise ValueError(
                f"offers[{number}].{key}: another rule gives {self.offers[number].public_name} "
                f"with another {key}; say the same in both, or choose another name"
            )
