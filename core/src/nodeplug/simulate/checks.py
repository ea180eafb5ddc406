"""The six checks, each telling by its figures what it saw."""

import statistics
import time
from collections.abc import Awaitable, Callable

from nodeplug.simulate.report import Check
from nodeplug.simulate.stage import PATIENCE_SECONDS, Stage
from nodeplug.testing import AdmissionError, ContainerRun, Pod

_PODS = 300


async def registration(stage: Stage, check: Check) -> None:
    """Start the agent; every resource is registered and listed."""
    started = time.monotonic()
    await stage.agent.start()
    await stage.all_listed()
    check.figures["start to last list, ms"] = _ms(time.monotonic() - started)
    for resource in stage.resources:
        check.figures[f"{resource} devices"] = stage.allocatable(resource)


async def one_device(stage: Stage, check: Check) -> None:
    """Let a container ask for one device; it gets it."""
    for resource in stage.resources:
        pod = Pod.of({resource: 1})
        started = time.monotonic()
        runs = await stage.kubelet.admit(pod)
        check.figures[f"{resource} admission, ms"] = _ms(time.monotonic() - started)
        check.shown += [f"{resource}: {line}" for line in _describe(runs["c0"])]
        _expect(bool(_describe(runs["c0"])), f"{resource}: the container got nothing")
        await stage.kubelet.remove(pod)


async def health(stage: Stage, check: Check) -> None:
    """Let a device fall sick and recover; the kubelet is told both."""
    for name, simulator in stage.simulators.items():
        resource = simulator.resource
        before = stage.allocatable(resource)
        started = time.monotonic()
        lost = simulator.lose()
        await _until_allocatable(stage, resource, before - 1)
        check.figures[f"{name} loss to kubelet, ms"] = _ms(time.monotonic() - started)
        health = stage.kubelet.devices(resource).get(lost)
        _expect(health == "Unhealthy", f"{resource}: {lost} is {health}, not Unhealthy")
        started = time.monotonic()
        simulator.recover()
        await _until_allocatable(stage, resource, before)
        check.figures[f"{name} recovery to kubelet, ms"] = _ms(time.monotonic() - started)
        check.shown.append(f"{resource}: {lost} lost and recovered")


async def several_devices(stage: Stage, check: Check) -> None:
    """Give several devices to several containers of a pod; then share each between two."""
    for resource in stage.resources:
        pod = Pod.of({resource: 2}, {resource: 1})
        runs = await stage.kubelet.admit(pod)
        held = stage.kubelet.held(resource)
        _expect(len(held) == 3, f"{resource}: {len(held)} devices in use, not 3")  # noqa: PLR2004
        check.shown += [
            f"{resource}: {container} {', '.join(run.devices or run.mounts)}"
            for container, run in runs.items()
        ]
        check.figures[f"{resource} in use"] = len(held)
        await stage.kubelet.remove(pod)
    await _shared_and_aligned(stage, check)


async def failure(stage: Stage, check: Check) -> None:
    """Kill the agent, start it again, restart the kubelet; allocations stay."""
    pod = Pod.of(dict.fromkeys(stage.resources, 1))
    kept = await stage.kubelet.admit(pod)
    await _agent_killed(stage, check)
    started = time.monotonic()
    await stage.agent.start()
    await stage.all_listed()
    check.figures["agent restart to last list, ms"] = _ms(time.monotonic() - started)
    await _admitted_and_removed(stage)
    rejected = await stage.kubelet.restart()
    started = time.monotonic()
    await stage.all_listed()
    check.figures["kubelet restart to last list, ms"] = _ms(time.monotonic() - started)
    _expect(not rejected, f"pods rejected after the kubelet's restart: {rejected}")
    same = stage.kubelet.run_options(pod, "c0") == kept["c0"]
    _expect(same, "the running container's devices changed over the restarts")
    check.shown.append("after both restarts the running container has what it had")
    await stage.kubelet.remove(pod)


async def performance(stage: Stage, check: Check) -> None:
    """Let many pods come and go, one after the other."""
    for resource in stage.resources:
        seconds = []
        for _ in range(_PODS):
            pod = Pod.of({resource: 1})
            started = time.monotonic()
            await stage.kubelet.admit(pod)
            seconds.append(time.monotonic() - started)
            await stage.kubelet.remove(pod)
        cuts = statistics.quantiles(seconds, n=100)
        check.figures[f"{resource} pods"] = _PODS
        check.figures[f"{resource} admission p50, ms"] = _ms(cuts[49])
        check.figures[f"{resource} admission p99, ms"] = _ms(cuts[98])


CHECKS: dict[str, Callable[[Stage, Check], Awaitable[None]]] = {
    "registration": registration,
    "allocation of one device": one_device,
    "health loss and recovery": health,
    "several devices across containers": several_devices,
    "failure of agent and kubelet": failure,
    "performance": performance,
}


async def _shared_and_aligned(stage: Stage, check: Check) -> None:
    """Offer every resource twice over by a reload, show what a container gets, and undo it."""
    before = {resource: stage.allocatable(resource) for resource in stage.resources}
    rule = {"replicas": 2, "markShared": True, "policy": "aligned"}
    stage.agent.offer([{"resource": resource, **rule} for resource in stage.resources])
    for resource, count in before.items():
        shared = f"{resource}.shared"
        await _until_allocatable(stage, shared, 2 * count)
        pod = Pod.of({shared: 2})
        await stage.kubelet.admit(pod)
        check.figures[f"{shared} devices"] = 2 * count
        check.shown.append(f"{shared}: aligned {', '.join(sorted(stage.kubelet.held(shared)))}")
        await stage.kubelet.remove(pod)
    stage.agent.offer([])
    for resource, count in before.items():
        await _until_allocatable(stage, resource, count)


async def _agent_killed(stage: Stage, check: Check) -> None:
    await stage.agent.kill()
    await stage.kubelet.until(
        lambda: not any(stage.allocatable(resource) for resource in stage.resources),
        PATIENCE_SECONDS,
    )
    try:
        await stage.kubelet.admit(Pod.of(dict.fromkeys(stage.resources, 1)))
    except AdmissionError as error:
        check.shown.append(f"agent killed, pod refused: {error}")
    else:
        _expect(False, "a pod was admitted while the agent was dead")


async def _admitted_and_removed(stage: Stage) -> None:
    pod = Pod.of(dict.fromkeys(stage.resources, 1))
    await stage.kubelet.admit(pod)
    await stage.kubelet.remove(pod)


async def _until_allocatable(stage: Stage, resource: str, count: int) -> None:
    await stage.kubelet.until(lambda: stage.allocatable(resource) == count, PATIENCE_SECONDS)


def _describe(run: ContainerRun) -> list[str]:
    return [
        *(f"env {key}={value}" for key, value in sorted(run.envs.items())),
        *(f"node {d.host_path} at {path} ({d.permissions})" for path, d in run.devices.items()),
        *(f"mount {m.host_path} at {path}" for path, m in run.mounts.items()),
        *(f"annotation {key}={value}" for key, value in sorted(run.annotations.items())),
        *(f"cdi {name}" for name in run.cdi_devices),
    ]


def _expect(held: bool, problem: str) -> None:  # noqa: FBT001
    if not held:
        raise AssertionError(problem)


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 2)
