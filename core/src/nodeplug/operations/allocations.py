"""The devices of the node and the pods that have them."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from nodeplug.holdings import Key, physical_id
from nodeplug.host.steady_watch import SteadyWatch
from nodeplug.kubelet.evidence import CHECKPOINT
from nodeplug.kubelet.served import Served, served_devices
from nodeplug.kubelet.sockets import KUBELET_SOCKET
from nodeplug.kubelet.stock import Stock, take_stock
from nodeplug.operations.standing import HELD, standing
from nodeplug.values.device import Device, Health
from nodeplug.values.errors import PodResourcesError

# R85: all clients of pod resources share 100 calls a second.
_GAP_SECONDS = 0.2
NOT_ALLOCATABLE = "NotAllocatable"
UNKNOWN = "Unknown"


class Row(msgspec.Struct, frozen=True, order=True, rename="camel"):
    """An id that the kubelet knows, and a container that has it; empty where none has.

    `device` is the physical device behind the id. `health` is `Healthy` or `Unhealthy` as the
    agent or the backend says, or `Held` where the device is well, and not given because of what
    containers have; where neither says, `NotAllocatable` is what the kubelet would give to nobody
    now, and `Unknown` what it does not tell of.
    """

    resource: str
    id: str
    device: str
    numa_nodes: tuple[int, ...]
    health: str
    reason: str
    namespace: str = ""
    pod: str = ""
    container: str = ""

    @property
    def alarming(self) -> bool:
        """Whether a container has a device that is not healthy; one that is held is."""
        return bool(self.pod) and self.health not in {Health.HEALTHY.value, HELD, UNKNOWN}


class Sources(msgspec.Struct, frozen=True):
    """Whom to ask: the kubelet, agents, and what backends found, by id of the device."""

    pod_resources: Path
    plugin_dir: Path
    found: Mapping[str, Device] = {}


async def look(sources: Sources) -> list[Row]:
    """Return all rows as they are now, sorted; raise PodResourcesError without a kubelet."""
    stock = await take_stock(sources.pod_resources)
    return sorted(_rows(stock, await served_devices(sources.plugin_dir), sources.found))


async def held_devices(plugin_dir: Path) -> Mapping[str, str]:
    """Return why agents keep back devices that are well, by the id of the physical device.

    That one is gone under its former name says less than what keeps it back under the new one.
    """
    served = await served_devices(plugin_dir)
    held = {(physical_id(i), own.reason) for (_, i), own in served.items() if own.held}
    return dict(sorted(held, key=lambda each: each[1] != "gone"))


async def follow(
    sources: Sources, interval: float, tell: Callable[[list[Row] | PodResourcesError], None]
) -> None:
    """Tell all rows, or why there are none, again and again until cancelled.

    The kubelet writes a checkpoint at every list and every allocation (R3), which is when to look
    again; that a pod has ended is seen after `interval` seconds at the latest.
    """
    news = asyncio.Event()
    folder, socket = sources.plugin_dir.absolute(), sources.pod_resources.absolute()
    async with SteadyWatch("allocations") as changes:
        changes.add(folder, frozenset({KUBELET_SOCKET, CHECKPOINT}))
        if socket.parent != folder:
            changes.add(socket.parent, frozenset({socket.name}))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_pass_on(changes, news))
            while True:
                news.clear()
                tell(await _look_or_error(sources))
                await asyncio.sleep(_GAP_SECONDS)
                with suppress(TimeoutError):
                    async with asyncio.timeout(interval):
                        await news.wait()


async def _look_or_error(sources: Sources) -> list[Row] | PodResourcesError:
    try:
        return await look(sources)
    except PodResourcesError as error:
        return error


async def _pass_on(changes: SteadyWatch, news: asyncio.Event) -> None:
    async for _ in changes:
        news.set()


def changed(before: Sequence[Row], after: Sequence[Row]) -> list[Row]:
    """Return the rows of every id of which anything is new; an id that is gone has no health."""
    was, now = _by_key(before), _by_key(after)
    gone = [
        Row(rows[0].resource, rows[0].id, rows[0].device, rows[0].numa_nodes, "", "gone")
        for key, rows in was.items()
        if key not in now
    ]
    return sorted([*gone, *(r for k, rows in now.items() if was.get(k) != rows for r in rows)])


def _by_key(rows: Sequence[Row]) -> dict[Key, list[Row]]:
    found: dict[Key, list[Row]] = {}
    for row in rows:
        found.setdefault((row.resource, row.id), []).append(row)
    return found


def _rows(stock: Stock, served: Mapping[Key, Served], found: Mapping[str, Device]) -> Iterator[Row]:
    holders: dict[Key, set[tuple[str, str, str]]] = {}
    nodes: dict[Key, set[int]] = {}
    for each in stock.held:
        key = each.resource, each.device
        holders.setdefault(key, set()).add((each.namespace, each.pod, each.container))
        nodes.setdefault(key, set()).update(each.numa_nodes)
    allocatable = stock.allocatable or {}
    for key in {*holders, *allocatable, *served}:
        own, device = served.get(key), found.get(physical_id(key[1]))
        health = standing(own.health, held=own.held) if own else _health(key, stock, device)
        numa = own.numa_nodes if own else sorted(nodes.get(key, ())) or allocatable.get(key, ())
        reason = (own.reason if own else "") or (device.reason if device else "")
        for holder in holders.get(key, {("", "", "")}):
            yield Row(*key, physical_id(key[1]), tuple(numa), health, reason, *holder)


def _health(key: Key, stock: Stock, device: Device | None) -> str:
    if device is not None:
        return device.health.value
    if stock.allocatable is None:
        return UNKNOWN
    return Health.HEALTHY.value if key in stock.allocatable else NOT_ALLOCATABLE
