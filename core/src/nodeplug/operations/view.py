"""What operations see of a running agent."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from nodeplug.supervisor.reload import ReloadReport
from nodeplug.supervisor.report import AgentReport


class View(msgspec.Struct, frozen=True):
    """Asks the agent, and whoever reads its configuration, how they are at this moment.

    `pod_resources` is the kubelet's socket of that name.
    """

    agent: Callable[[], AgentReport]
    configuration: Callable[[], ReloadReport]
    pod_resources: Path
