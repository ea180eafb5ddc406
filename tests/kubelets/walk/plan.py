"""Which step comes next: drawn at random from what makes sense."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kubelets.walk import steps
from kubelets.walk.plugin import ListedDevice, Manners
from kubelets.walk.side import Tables
from nodeplug.testing import Container, Pod

RESOURCES = ("example.com/alpha", "example.com/beta", "other.example.org/gamma")
_UNKNOWN = "example.com/nobody"
_IDS_PER_RESOURCE = 6
_PODS = 8
_HEALTHS = ("Healthy",) * 8 + ("Unhealthy", "healthy")
# Whether -1 beside a node hides that one is chance (pod_devices.go, getContainerDevices).
_NODES: Sequence[tuple[int, ...] | None] = (
    None,
    (),
    (0,),
    (1,),
    (0, 1),
    (1, 0),
    (1, 1),
    (7,),
    (-1,),
)


class Plan:
    """Knows what has happened, and draws what happens next.

    With `keep` set, ids in use never leave a list: with NUMA alignment a kubelet may crash (R33).
    With `alike` set, two resources have the same ids.
    """

    def __init__(self, seed: int, *, keep: bool, alike: bool) -> None:
        self._random = random.Random(seed)
        self._keep = keep
        self._alike = alike
        self._plugins: dict[str, tuple[str, Manners]] = {}
        self._lists: dict[str, frozenset[str]] = {}
        self._connected: set[str] = set()
        # Plugins that the kubelet keeps though it has untied them: refused while connected.
        self._ghosts: dict[str, str] = {}
        # Whether one plugin may send several lists at once.
        self._doubled = False
        self._pods: list[Pod] = []
        self._waiting: list[Pod] = []
        self._gone: list[Pod] = []
        self._ready = True
        self._numbers = iter(range(1, 1 << 30))
        self._weights: Mapping[Callable[[Tables], steps.Step | None], int] = {
            self._new_plugin: 6,
            self._send_list: 14,
            self._end_streams: 3,
            self._stop_plugin: 2,
            self._connect: 24,
            self._register: 4,
            self._behave: 5,
            self._admit: 30,
            self._readmit: 20,
            self._end_pod: 7,
            self._forget_pod: 7,
            self._start_container: 10,
            self._pod_status: 6,
            self._ask: 6,
            self._pass_grace: 6,
            self._restart: 4,
            self._become_ready: 3,
        }

    def next(self, seen: Tables) -> steps.Step:
        """Return the next step, given what the kubelet knows."""
        kinds, weights = list(self._weights), list(self._weights.values())
        while True:
            [kind] = self._random.choices(kinds, weights)
            if (step := kind(seen)) is not None:
                return step

    def played(self, step: steps.Step, outcome: Any) -> None:
        """Take in how a step has ended."""
        match step:
            case steps.NewPlugin(name) | steps.Register(name) if not outcome:
                self._registered(name)
            case steps.Register(name, "v1beta1", "") if name in self._connected:
                self._ghosts[name] = self._plugins[name][0]
            case steps.EndStreams(name) | steps.StopPlugin(name):
                self._connected.discard(name)
            case steps.Restart():
                self._connected.clear()
                self._ghosts.clear()
                self._doubled = False
            case steps.Admit(pod):
                if pod in self._waiting:
                    self._waiting.remove(pod)
                (self._gone if outcome else self._pods).append(pod)
            case steps.EndPod(pod) | steps.ForgetPod(pod):
                self._pods.remove(pod)
                self._gone.append(pod)

    def _registered(self, name: str) -> None:
        if self._plugins[name][1].streams == "list":
            self._doubled |= name in self._connected
            self._connected.add(name)

    def _new_plugin(self, seen: Tables) -> steps.Step | None:
        resource = self._random.choice(RESOURCES)
        # With three, the one that is promoted when one ends is any (manager.go of 1.37,
        # PluginDisconnected).
        served = {name: r for name, (r, _) in self._plugins.items()} | self._ghosts
        if list(served.values()).count(resource) > 1:
            return None
        name = f"{resource.rpartition('/')[2]}{next(self._numbers)}.sock"
        manners = self._manners()
        self._plugins[name] = (resource, manners)
        return steps.NewPlugin(name, resource, manners, self._devices(name, resource, seen))

    def _send_list(self, seen: Tables) -> steps.Step | None:
        name = self._plugin()
        if not name:
            return None
        return steps.SendList(name, self._devices(name, self._plugins[name][0], seen))

    def _end_streams(self, _: Tables) -> steps.Step | None:
        name = self._plugin()
        return steps.EndStreams(name) if name else None

    def _stop_plugin(self, _: Tables) -> steps.Step | None:
        name = self._plugin()
        if not name:
            return None
        del self._plugins[name]
        return steps.StopPlugin(name)

    def _connect(self, seen: Tables) -> steps.Step | None:
        names = sorted(self._plugins.keys() - self._connected)
        if not names:
            return None
        name = self._random.choice(names)
        return self._list_for(name, seen) or steps.Register(name)

    def _list_for(self, name: str, seen: Tables) -> steps.Step | None:
        """Return a new list for a plugin whose list must not be sent as it is."""
        resource = self._plugins[name][0]
        if not self._keep or seen.in_use.get(resource, frozenset()) <= self._lists[name]:
            return None
        return steps.SendList(name, self._devices(name, resource, seen))

    def _register(self, seen: Tables) -> steps.Step | None:
        name = self._plugin()
        if not name:
            return None
        if step := self._list_for(name, seen):
            return step
        version = self._random.choice(["v1beta1"] * 6 + ["v1alpha", ""])
        resource = self._random.choice([""] * 6 + ["nobody", "kubernetes.io/thing", "a/b/c"])
        return steps.Register(name, version, resource)

    def _behave(self, _: Tables) -> steps.Step | None:
        name = self._plugin()
        if not name:
            return None
        resource, old = self._plugins[name]
        manners = replace(
            self._manners(),
            pre_start_required=old.pre_start_required,
            get_preferred_allocation_available=old.get_preferred_allocation_available,
        )
        self._plugins[name] = (resource, manners)
        return steps.Behave(name, manners)

    def _admit(self, seen: Tables) -> steps.Step | None:
        return steps.Admit(self._pod(seen)) if len(self._pods) < _PODS else None

    def _readmit(self, _: Tables) -> steps.Step | None:
        if not self._waiting:
            return None
        number = self._random.randrange(len(self._waiting))
        if self._random.random() < 0.1:
            self._waiting[number] = self._changed(self._waiting[number])
        return steps.Admit(self._waiting[number])

    def _end_pod(self, _: Tables) -> steps.Step | None:
        return steps.EndPod(self._random.choice(self._pods)) if self._pods else None

    def _forget_pod(self, _: Tables) -> steps.Step | None:
        return steps.ForgetPod(self._random.choice(self._pods)) if self._pods else None

    def _start_container(self, seen: Tables) -> steps.Step | None:
        pods = [*self._pods, *self._waiting, *self._gone[-2:]]
        everything = [(pod, c) for pod in pods for c in pod.containers]
        having: list[tuple[Pod, Container]] = []
        lacking: list[tuple[Pod, Container]] = []
        for pod, c in everything:
            wanted = [(pod.uid, c.name, resource) for resource, n in c.limits.items() if n]
            if wanted:
                (having if {*wanted} <= seen.pods.keys() else lacking).append((pod, c))
        # What a container lacks it is given now (R45), what it has is prepared (R55).
        kinds = [kind for kind in (everything, having, lacking) if kind]
        if not kinds:
            return None
        of = self._random.choice(kinds)
        pod, container = self._random.choice(of)
        return steps.StartContainer(pod, container.name)

    def _pod_status(self, seen: Tables) -> steps.Step | None:
        pod = self._any_pod(seen)
        return steps.PodStatus(pod) if pod else None

    def _ask(self, seen: Tables) -> steps.Step | None:
        pod = self._any_pod(seen)
        if pod and self._random.random() < 0.3:
            return steps.AskPodResources("Get", pod)
        if self._random.random() < 0.5:
            return steps.AskPodResources("List")
        return steps.AskPodResources("GetAllocatableResources")

    def _pass_grace(self, seen: Tables) -> steps.Step | None:
        if all(healthy for _, healthy in seen.node.values()) and self._random.random() < 0.9:
            return None
        # A kubelet collects what it writes under its lock and writes afterwards (manager.go,
        # writeCheckpoint): of two lists at once, and the end of a resource, any may be on disk.
        return None if self._doubled else steps.PassGrace()

    def _restart(self, _: Tables) -> steps.Step | None:
        pods = [*self._pods, *self._waiting, *self._gone]
        everything = [(p.uid, c.name) for p in self._pods for c in p.staying]
        running = frozenset(c for c in everything if self._random.random() < 0.6)
        self._waiting.extend(self._pods)
        self._pods.clear()
        self._ready = self._random.random() < 0.2
        checkpoint = self._random.choices(("stays", "is lost", "is broken"), (6, 2, 2))[0]
        return steps.Restart(checkpoint, running, self._ready, pods)  # type: ignore[arg-type]

    def _become_ready(self, _: Tables) -> steps.Step | None:
        if self._ready:
            return None
        self._ready = True
        return steps.BecomeReady()

    def _plugin(self) -> str:
        return self._random.choice([*self._plugins, ""]) if self._plugins else ""

    def _any_pod(self, seen: Tables) -> Pod | None:
        pods = [*self._pods, *self._waiting, *self._gone[-2:]]
        owners = {uid for uid, _, _ in seen.pods}
        having = [pod for pod in pods if pod.uid in owners]
        return self._random.choice([*pods, *having * 3]) if pods else None

    def _manners(self) -> Manners:
        pick = self._random.choice
        return Manners(
            allocate=pick(("devices",) * 9 + ("list first",) * 2 + ("error", "nothing")),
            prefer=pick(
                ("last",) * 3
                + ("others",) * 2
                + ("few", "strange", "nothing", "no answer", "error")
            ),
            prepare=pick(("fine",) * 4 + ("error",)),
            options=pick(("fine",) * 29 + ("error",)),
            streams=pick(("list",) * 19 + ("end",)),
            pre_start_required=pick((True, False)),
            get_preferred_allocation_available=pick((True, True, False)),
        )

    def _devices(self, name: str, resource: str, seen: Tables) -> tuple[ListedDevice, ...]:
        alike = self._alike and resource in RESOURCES[1:]
        short = "same" if alike else resource.rpartition("/")[2]
        ids = {f"{short}-{n}" for n in range(_IDS_PER_RESOURCE)}
        picked = set(self._random.sample(sorted(ids), min(len(ids), self._random.randint(0, 9))))
        if self._keep:
            picked |= seen.in_use.get(resource, frozenset())
        self._lists[name] = frozenset(picked)
        numa = self._random.random() < 0.7
        return tuple(
            ListedDevice(
                device_id,
                self._random.choice(_HEALTHS),
                self._random.choice(_NODES) if numa else None,
            )
            for device_id in sorted(picked)
        )

    def _pod(self, seen: Tables) -> Pod:
        allocatable = [r for r in RESOURCES if seen.node.get(r, (0, 0))[1]]
        favourite = self._random.choice([*RESOURCES, *allocatable * 3])
        number = next(self._numbers)
        init = [
            self._container(f"i{n}", favourite, init=True)
            for n in range(self._random.choice((0, 0, 1, 1, 2)))
        ]
        app = [
            self._container(f"c{n}", favourite, init=False)
            for n in range(self._random.choice((1, 1, 2)))
        ]
        return Pod((*init, *app), name=f"pod-{number}", uid=f"uid-{number}")

    def _changed(self, pod: Pod) -> Pod:
        """Return a pod one of whose containers asks for something else."""
        containers = list(pod.containers)
        number = self._random.randrange(len(containers))
        old = containers[number]
        favourite = self._random.choice([*old.limits, *RESOURCES])
        new = self._container(old.name, favourite, init=old.init)
        containers[number] = replace(old, limits={**old.limits, **new.limits})
        return replace(pod, containers=tuple(containers))

    def _container(self, name: str, favourite: str, *, init: bool) -> Container:
        wanted = {favourite} if self._random.random() < 0.7 else set()
        wanted |= {r for r in RESOURCES if self._random.random() < 0.2}
        if self._random.random() < 0.05:
            wanted.add(_UNKNOWN)
        # The more an app container wants beyond what its init containers had, the more is asked.
        counts = (0, 1, 1, 1, 1, 2) if init else (0, 1, 1, 1, 2, 2, 3)
        limits = {r: self._random.choice(counts) for r in sorted(wanted)}
        return Container(name, limits, init=init, sidecar=init and self._random.random() < 0.4)
