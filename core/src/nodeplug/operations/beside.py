"""What runs beside the agent. Whatever happens to it, the agent serves on."""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from nodeplug.backend import BackendSpec
from nodeplug.config.settings import AgentSettings
from nodeplug.operations.view import View
from nodeplug.supervisor.agent import Agent
from nodeplug.supervisor.reload import Reloader

_PAUSE_SECONDS = 30.0

_log = logging.getLogger("nodeplug.operations")


async def run_beside(
    agent: Agent, reloader: Reloader, settings: AgentSettings, specs: Sequence[BackendSpec]
) -> None:
    """Serve metrics and probes and tell the API server, as far as that is switched on.

    What is switched off is not loaded.
    """
    view = View(agent.report, lambda: reloader.report, Path(settings.kubelet.pod_resources_socket))
    async with asyncio.TaskGroup() as tasks:
        if settings.metrics.enabled:
            from nodeplug.operations.observatory import Observatory, port_of  # noqa: PLC0415

            port = port_of(settings.metrics, specs)
            observatory = Observatory(view, settings.metrics)
            tasks.create_task(_kept_up("metrics", lambda: observatory.run(port)))
        cluster = settings.cluster
        if cluster.events or cluster.condition or cluster.remove_taint:
            from nodeplug.operations.cluster.announcer import Announcer  # noqa: PLC0415
            from nodeplug.operations.cluster.courier import Courier  # noqa: PLC0415

            announcer = Announcer(cluster, os.environ.get("NODE_NAME", ""), view, Courier())
            tasks.create_task(_kept_up("cluster", announcer.run))


async def _kept_up(part: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            return await run()
        except Exception:  # noqa: BLE001 - logged, and tried again
            _log.exception("a part beside the agent failed", extra={"nodeplug": {"part": part}})
        await asyncio.sleep(_PAUSE_SECONDS)
