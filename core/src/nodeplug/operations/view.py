"""What operations see of a running agent."""

from collections.abc import Callable

import msgspec

from nodeplug.supervisor.reload import ReloadReport
from nodeplug.supervisor.report import AgentReport


class View(msgspec.Struct, frozen=True):
    """Asks the agent, and whoever reads its configuration, how they are at this moment."""

    agent: Callable[[], AgentReport]
    configuration: Callable[[], ReloadReport]
