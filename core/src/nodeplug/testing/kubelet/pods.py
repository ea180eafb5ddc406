"""Pods as the kubelet admits them, and what their containers get."""

import itertools
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api

_T = TypeVar("_T")
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Container:
    """One container with its limits on extended resources.

    `init` containers run one after the other before the others; with `sidecar` they go on.
    """

    name: str
    limits: Mapping[str, int]
    init: bool = False
    sidecar: bool = False


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod bound to this node. Its `uid` is what the kubelet knows it by."""

    containers: tuple[Container, ...]
    name: str = field(default_factory=lambda: f"pod-{next(_numbers)}")
    namespace: str = "default"
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))

    @classmethod
    def of(cls, *limits: Mapping[str, int]) -> "Pod":
        """Return a pod of one container for each of these limits."""
        return cls(tuple(Container(f"c{n}", limit) for n, limit in enumerate(limits)))

    @property
    def in_order(self) -> list[Container]:
        """The containers in the order of their admission (R41)."""
        return sorted(self.containers, key=lambda container: not container.init)

    @property
    def staying(self) -> list[Container]:
        """The containers that run together, once the ordinary init containers are done."""
        return [
            container for container in self.containers if container.sidecar or not container.init
        ]


@dataclass(slots=True)
class ContainerRun:
    """What reaches a container. Where two resources disagree the first one wins (R60)."""

    envs: dict[str, str] = field(default_factory=dict)
    mounts: dict[str, api.Mount] = field(default_factory=dict)
    devices: dict[str, api.DeviceSpec] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    cdi_devices: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def add(self, response: api.ContainerAllocateResponse) -> None:
        """Merge one resource's response."""
        self._merge("env", self.envs, response.envs.items())
        self._merge("annotation", self.annotations, response.annotations.items())
        self._merge("mount", self.mounts, ((m.container_path, m) for m in response.mounts))
        self._merge("device", self.devices, ((d.container_path, d) for d in response.devices))
        names = (device.name for device in response.cdi_devices)
        self.cdi_devices = list(dict.fromkeys([*self.cdi_devices, *names]))

    def _merge(self, kind: str, have: dict[str, _T], new: Iterable[tuple[str, _T]]) -> None:
        for key, value in new:
            if have.setdefault(key, value) != value:
                self.skipped.append(f"{kind} {key}")
