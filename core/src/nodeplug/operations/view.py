"""What operations see of a running agent."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from nodeplug.kubelet.probe import Prober
from nodeplug.supervisor.reload import ReloadReport
from nodeplug.supervisor.report import AgentReport


class View(msgspec.Struct, frozen=True):
    """Asks the agent, and whoever reads its configuration, how they are at this moment.

    `pod_resources` is the kubelet's socket of that name; `prober` asks the agent's own.
    """

    agent: Callable[[], AgentReport]
    configuration: Callable[[], ReloadReport]
    pod_resources: Path
    prober: Prober = msgspec.field(default_factory=Prober)
