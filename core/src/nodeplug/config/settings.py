"""The configuration file as types. The schema and docs/configuration.md come from them."""

from typing import Annotated, Any, Literal

import msgspec

# R1: the kubelet's --root-dir does not move this directory.
PLUGIN_DIR = "/var/lib/kubelet/device-plugins"
POD_RESOURCES = "/var/lib/kubelet/pod-resources/kubelet.sock"


class Section(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """Base of all sections: unknown keys are errors, keys are written in camelCase."""


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


class AgentSettings(Section, frozen=True):
    """A whole configuration file, each backend's section still unread."""

    kubelet: KubeletSettings = KubeletSettings()
    host: HostSettings = HostSettings()
    log: LogSettings = LogSettings()
    backends: Annotated[
        dict[str, Any],
        msgspec.Meta(description="One section per backend, by its entry-point name."),
    ] = msgspec.field(default_factory=dict)
