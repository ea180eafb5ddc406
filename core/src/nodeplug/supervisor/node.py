"""What an agent is told of its node and of what it serves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nodeplug.backend import BackendSpec
from nodeplug.config.settings import CDI_DIR, AgentSettings
from nodeplug.offers import OfferRule
from nodeplug.quarantine import QuarantineRule


class ConfiguredBackend(NamedTuple):
    """A backend with its settings, an instance of the type its spec names; None lets it idle."""

    spec: BackendSpec
    settings: Any | None


class Rules(NamedTuple):
    """What the operator says of all devices: how they are offered, which are out of service.

    Of the latter, some are `annotated`: an annotation of the node says so.
    """

    offers: Sequence[OfferRule] = ()
    quarantine: Sequence[QuarantineRule] = ()
    annotated: Sequence[QuarantineRule] = ()


class Node(NamedTuple):
    """What an agent is told of its node.

    `plugin_dir` is the kubelet's device plugin directory and `pod_resources` its pod resources
    socket, both as this process sees them; `rules` say how resources are advertised; in `cdi_dir`
    the container runtime looks for specifications. In `feature_dir`, a path of the host, labels
    of the node are written; empty is nowhere. With `registry`, the kubelet's plugin registry
    directory, the kubelet finds resources there instead of being called. `installation` tells
    whose names are still served for pods that have their devices, and whose settings are kept for
    a start with broken ones. In `ledger_dir` all agents of the node note what they have given;
    by default that is below `plugin_dir`. `settings` is what is kept of the configuration besides
    sections; `former` are offers that worked before, for resources whose rules do not. It is
    `contended` where another agent serves it until this one does.
    """

    plugin_dir: Path
    pod_resources: Path
    rules: Rules = Rules()
    cdi_dir: Path = Path(CDI_DIR)
    feature_dir: str = ""
    registry: Path | None = None
    installation: str = ""
    ledger_dir: Path | None = None
    settings: AgentSettings = AgentSettings()
    former: Sequence[OfferRule] = ()
    contended: bool = False
