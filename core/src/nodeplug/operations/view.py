"""What operations see of a running agent."""

from collections.abc import Callable
from dataclasses import dataclass

from nodeplug.supervisor.reload import ReloadReport
from nodeplug.supervisor.report import AgentReport


@dataclass(frozen=True, slots=True)
class View:
    """Asks the agent, and whoever reads its configuration, how they are at this moment."""

    agent: Callable[[], AgentReport]
    configuration: Callable[[], ReloadReport]
