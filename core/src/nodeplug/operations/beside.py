"""What runs beside the agent. Whatever happens to it, the agent serves on."""

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nodeplug.backend import BackendSpec
from nodeplug.config.settings import AgentSettings, ClusterSettings
from nodeplug.host.calls import call
from nodeplug.operations.view import View
from nodeplug.quarantine import QuarantineRule
from nodeplug.supervisor.agent import Agent
from nodeplug.supervisor.files import DISK_SECONDS
from nodeplug.supervisor.kept_up import kept_up
from nodeplug.supervisor.reload import Reloader, ReloadReport

if TYPE_CHECKING:
    from nodeplug.operations.cluster.annotated import AnnotatedQuarantine

_log = logging.getLogger("nodeplug.operations")


async def run_beside(
    agent: Agent, reloader: Reloader, settings: AgentSettings, specs: Sequence[BackendSpec]
) -> None:
    """Serve metrics and probes, tell and ask the API server, as far as that is switched on.

    What is switched off is not loaded.
    """
    cluster, node = settings.cluster, os.environ.get("NODE_NAME", "")
    followed = _followed(cluster, node, Path(settings.kubelet.device_plugin_dir), agent)

    def configuration() -> ReloadReport:
        troubles = [trouble for each in followed for trouble in each.problems]
        return reloader.report._replace(troubles=(*reloader.report.troubles, *troubles))

    view = View(agent.report, configuration, Path(settings.kubelet.pod_resources_socket))
    async with asyncio.TaskGroup() as tasks:
        for each in followed:
            tasks.create_task(kept_up("quarantine", each.run))
        tasks.create_task(run_pages(view, settings, specs))
        if cluster.events or cluster.condition or cluster.remove_taint:
            from nodeplug.operations.cluster.announcer import Announcer  # noqa: PLC0415
            from nodeplug.operations.cluster.courier import ACCOUNT, Courier  # noqa: PLC0415

            announcer = Announcer(cluster, node, view, Courier(ACCOUNT))
            tasks.create_task(kept_up("cluster", announcer.run))


async def run_pages(view: View, settings: AgentSettings, specs: Sequence[BackendSpec]) -> None:
    """Serve metrics and probes, if that is switched on."""
    if not settings.metrics.enabled:
        return
    from nodeplug.operations.observatory import Observatory, port_of  # noqa: PLC0415

    port = port_of(settings.metrics, specs)
    observatory = Observatory(view, settings.metrics)
    await kept_up("metrics", lambda: observatory.run(port))


async def recalled(settings: AgentSettings) -> Sequence[QuarantineRule]:
    """Return what an annotation of the node took out of service when an agent last knew it."""
    annotation = settings.cluster.quarantine_annotation
    if not annotation:
        return ()
    from nodeplug.operations.cluster.annotated import recall  # noqa: PLC0415

    folder = Path(settings.kubelet.device_plugin_dir)
    try:
        return await call(recall, annotation, folder, timeout=DISK_SECONDS)
    except (RuntimeError, TimeoutError) as error:  # too many threads, or a disk that hangs
        _log.warning("annotation not recalled", extra={"nodeplug": {"error": repr(error)}})
        return ()


def _followed(
    cluster: ClusterSettings, node: str, directory: Path, agent: Agent
) -> "list[AnnotatedQuarantine]":
    if not cluster.quarantine_annotation:
        return []
    from nodeplug.operations.cluster.annotated import AnnotatedQuarantine  # noqa: PLC0415
    from nodeplug.operations.cluster.courier import ACCOUNT  # noqa: PLC0415

    return [AnnotatedQuarantine(cluster.quarantine_annotation, node, directory, agent, ACCOUNT)]
