"""What the end-to-end suite installs does in a container what the suite expects of it."""

from typing import Any

from e2e.objects import ADDED, FILES, FOLDER, NAMES, NODES, REPLICAS, SHARED, configuration, values
from e2e.parameters import from_environment
from nodeplug.config.settings import PLUGIN_DIR
from nodeplug.testing import Capacity, Kubelet
from support.charts import UMBRELLA, Charts, only
from support.container import Container, contained, exchange


def rendered(charts: Charts, *more: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the suite's release; `more` are further resources."""
    given = from_environment({})
    return charts.render(UMBRELLA, values(given, "node-1", configuration(*more)))


async def test_the_suites_devices_are_served_lost_and_found(charts: Charts) -> None:
    """Files in a folder of the host come and go; a new resource comes without a restart."""
    async with contained(rendered(charts)) as container:
        for name in NAMES:
            (container.host(FOLDER) / name).touch()
        kubelet = Kubelet(container.host(PLUGIN_DIR))
        await kubelet.start()
        try:
            async with container.running():
                await walk(container, kubelet, charts)
        finally:
            await kubelet.stop()


async def walk(container: Container, kubelet: Kubelet, charts: Charts) -> None:
    async def has(resource: str, capacity: int, allocatable: int) -> None:
        wanted = Capacity(capacity, allocatable)
        await kubelet.until(lambda: kubelet.capacity(resource) == wanted)

    for resource, count in {NODES: 3, SHARED: REPLICAS, FILES: 2}.items():
        await has(resource, count, count)
    file = container.host(FOLDER) / NAMES[0]
    file.unlink()
    await has(FILES, 2, 1)
    file.touch()
    await has(FILES, 2, 2)
    added = {"name": ADDED, "devices": [{"path": "/dev/random"}]}
    config = only(rendered(charts, added), "ConfigMap")["data"]
    exchange(container.host("/etc/nodeplug"), config)
    await has(ADDED, 1, 1)
