"""What the charts grant suffices: their containers, run by runc, do their work."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nodeplug.config.settings import CDI_DIR, PLUGIN_DIR, POD_RESOURCES
from nodeplug.testing import Capacity, Kubelet
from support.charts import SUBCHARTS, Charts, Values
from support.container import Container, contained

NULL = "example.com/null"
NODES = [{"path": "/dev/null"}, {"path": "/dev/zero"}]


def config(**more: Any) -> Values:
    section = {"resources": [{"name": NULL, "devices": NODES}]}
    return {"config": {"backends": {"custom": section}, **more}}


@asynccontextmanager
async def served(container: Container) -> AsyncGenerator[Kubelet]:
    """Run the container on a node whose kubelet has got both devices of it."""
    pods = container.host(POD_RESOURCES.rpartition("/")[0]) / "kubelet.sock"
    kubelet = Kubelet(container.host(PLUGIN_DIR), pod_resources=pods)
    await kubelet.start()
    try:
        async with container.running():
            await kubelet.until(lambda: kubelet.capacity(NULL) == Capacity(2, 2))
            yield kubelet
    finally:
        await kubelet.stop()


async def test_an_agent_without_any_privilege_serves_devices(charts: Charts) -> None:
    """Without a capability, on a read-only root, with the host's /dev read-only."""
    async with contained(charts.render("custom", config())) as container, served(container):
        assert await container.page("/readyz") == (200, "ok")


async def test_files_for_container_runtimes_are_written_where_they_look(charts: Charts) -> None:
    """Specifications of CDI, in the folder of the host that the feature mounts."""
    rendered = charts.render("custom", config(offers=[{"resource": NULL, "inject": "cdi"}]))
    async with contained(rendered) as container, served(container):
        assert [*container.host(CDI_DIR).glob("nodeplug-*.json")]


@pytest.mark.parametrize("chart", SUBCHARTS)
async def test_every_agent_lives_in_what_its_chart_gives(charts: Charts, chart: str) -> None:
    """And ends in order; without its hardware it has nothing to serve."""
    rendered = charts.render(chart, {})
    async with contained(rendered) as container, container.running():
        assert await container.page("/healthz") == (200, "ok")
