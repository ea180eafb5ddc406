"""Which resources are short on which nodes of a release, and why: by the API server alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from nodeplug.operations.cluster.courier import Call, Courier, check
from nodeplug.values.errors import ClusterError

Object = Mapping[str, Any]
_ENDED = {"Succeeded", "Failed"}
_NAMED = 5
_THOUSANDS = "kMGTPE"


class Place(NamedTuple):
    """A node, the release's agent on it, and all pods that are there."""

    node: Object
    agent: Object
    pods: Sequence[Object]

    @property
    def name(self) -> str:
        """The node's name."""
        return str(self.node["metadata"]["name"])


async def places(courier: Courier, namespace: str, selector: str) -> list[Place]:
    """Return where agents of these labels are. Raise ClusterError."""
    query = urlencode({"labelSelector": selector})
    (found,) = await _bodies(courier, [f"/api/v1/namespaces/{namespace}/pods?{query}"])
    # While one takes over from another, a node has two.
    by_node = {pod["spec"].get("nodeName", ""): pod for pod in found["items"]}
    agents = {name: agent for name, agent in by_node.items() if name}
    paths = []
    for name in agents:
        paths += [
            f"/api/v1/nodes/{quote(name)}",
            f"/api/v1/pods?fieldSelector=spec.nodeName%3D{name}",
        ]
    bodies = await _bodies(courier, paths) if paths else []
    nodes, pods = bodies[::2], [each["items"] for each in bodies[1::2]]
    return [Place(*each) for each in zip(nodes, agents.values(), pods, strict=True)]


def short(
    wanted: Mapping[str, int], found: Sequence[Place], names: Sequence[str], *, everywhere: bool
) -> list[str]:
    """Return what is short, a line each; of nodes that are named, or one for all, or every one."""
    if missing := sorted({*names} - {place.name for place in found}):
        return [f"{name}: no agent of this release is there" for name in missing]
    if not found:
        return ["no agent of this release is on any node: see its DaemonSet"]
    asked = [place for place in found if place.name in names or not names]
    lines = {r: [_line(place, r, count) for place in asked] for r, count in wanted.items()}
    all_needed = everywhere or bool(names)
    enough = all if all_needed else any
    told = (said for said in lines.values() if not enough(not line for line in said))
    return [line for said in told for line in said if line]


def _line(place: Place, resource: str, count: int) -> str:
    """Return why a node cannot give so many, or nothing if it can."""
    status = place.node["status"]
    capacity, allocatable = (
        _number(status.get(key, {}).get(resource, -1)) for key in ("capacity", "allocatable")
    )
    users = [(pod, number) for pod in place.pods if (number := _asks(pod, resource))]
    free = max(allocatable, 0) - sum(number for _, number in users)
    reasons = [*_reasons(capacity, allocatable, users), *_silent(place)]
    said = "; ".join(reasons)
    return f"{place.name}: {resource}: {max(free, 0)} free, {count} wanted: {said}" * (free < count)


def _reasons(capacity: int, allocatable: int, users: Sequence[tuple[Object, int]]) -> Iterator[str]:
    if capacity < 0:
        yield "the kubelet does not know the resource"
    elif not capacity:
        yield "there is no device, or no agent that serves it"
    elif allocatable < capacity:
        yield f"{capacity - allocatable} of {capacity} are unhealthy"
    elif not users:
        yield f"there are {capacity}"
    if users:
        names = [f"{_name(pod)} has {number}" for pod, number in users[:_NAMED]]
        more = [f"and {len(users) - _NAMED} more pods"] if len(users) > _NAMED else []
        yield ", ".join(names + more)


def _silent(place: Place) -> Iterator[str]:
    """Yield what is wrong with node and agent themselves."""
    for what, found in ("the node", place.node), (f"the agent {_name(place.agent)}", place.agent):
        conditions = found["status"].get("conditions") or ()
        if not any((c["type"], c["status"]) == ("Ready", "True") for c in conditions):
            waits = {
                state["reason"]
                for each in found["status"].get("containerStatuses", ())
                for state in each["state"].values()
                if "reason" in state
            }
            yield f"{what} is not ready{''.join(f' ({each})' for each in sorted(waits))}"


def _asks(pod: Object, resource: str) -> int:
    if pod["status"].get("phase") in _ENDED:
        return 0
    first, then = (
        _limits(pod["spec"].get(k, ()), resource) for k in ("initContainers", "containers")
    )
    return max([sum(then), *first])


def _limits(containers: Iterable[Object], resource: str) -> list[int]:
    limits = (each.get("resources", {}).get("limits", {}) for each in containers)
    return [_number(each.get(resource, 0)) for each in limits]


def _number(quantity: str | int) -> int:
    """Return a quantity of devices, which the API server shortens: 1k."""
    text = str(quantity)
    factor: int = 1000 ** (_THOUSANDS.find(text[-1]) + 1)
    return int(text.rstrip(_THOUSANDS)) * factor


def _name(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


async def _bodies(courier: Courier, paths: Sequence[str]) -> list[Object]:
    replies = await courier.send([Call("GET", path) for path in paths])
    check(replies)
    if cut := [path for path, reply in zip(paths, replies, strict=True) if not _whole(reply.body)]:
        raise ClusterError(f"too long an answer to {cut[0]}")
    return [reply.body for reply in replies]


def _whole(body: Object) -> bool:
    return "metadata" in body
