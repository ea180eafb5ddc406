"""The contract between core and a vendor: what a backend is and what it may offer besides."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pluggy

from nodeplug.host.host import Host
from nodeplug.host.root import HostRoot
from nodeplug.values.device import Device
from nodeplug.values.edits import ContainerEdits
from nodeplug.values.inventory import Inventory

ENTRY_POINT_GROUP = "nodeplug.backends"

hookspec = pluggy.HookspecMarker("nodeplug")
hookimpl = pluggy.HookimplMarker("nodeplug")


@runtime_checkable
class Backend(Protocol):
    """One vendor's devices on this host.

    Both methods run on the agent's event loop and must not block it; driver calls go through
    `nodeplug.host.calls`.
    """

    def inventories(self) -> AsyncGenerator[Inventory, None]:
        """Yield the devices found now, then again after every change of any kind.

        Each item is the whole truth; core finds out what changed. Core closes the generator to
        stop the backend. An exception restarts the backend with a growing pause; meanwhile its
        last inventory stands for 30 s, then its devices turn Unhealthy.
        """
        ...

    async def allocate(self, resource: str, devices: Sequence[Device]) -> ContainerEdits:
        """Return what the set of devices adds to a container beyond the edits of each device.

        `resource` is the public name; devices come in order of id, each once. The call is quick,
        keeps no state and may be repeated for the same devices: the kubelet never says when they
        are free again (R46). Equal arguments give equal results, over restarts too (R45).
        """
        ...


@runtime_checkable
class Preparer(Protocol):
    """A backend that makes devices ready just before a container starts."""

    async def prepare(self, resource: str, devices: Sequence[Device]) -> None:
        """Make the devices ready; return within 25 s, the kubelet gives up after 30 (R55).

        The call is idempotent: it is repeated at every restart of the container, and comes for
        devices that a sibling container is using.
        """
        ...


@dataclass(frozen=True, slots=True)
class HostFile:
    """A file that a backend wants on the host: a device-info file, a list of features.

    `path` is absolute, as the host sees it. A file that belongs to a device of a resource, under
    its public name, stays as long as a container may hold the device; any other goes as soon as
    the backend no longer wants it.
    """

    path: str
    data: bytes
    resource: str = ""
    device: str = ""
    mode: int = 0o644


@runtime_checkable
class HostFiles(Protocol):
    """A backend whose devices need files on the host. Core writes and removes them."""

    def host_files(self, offers: Mapping[str, Sequence[Device]]) -> Sequence[HostFile]:
        """Return all files wanted for these devices, by public name of their resource.

        Quick, without effects; equal arguments give equal results. The files are in place before
        the kubelet is told of the devices.
        """
        ...


class Simulator(Protocol):
    """Simulated hardware below a folder, for `nodeplug simulate` and the contract suite.

    The files it makes are read by the true backend, in another process.
    """

    @property
    def settings(self) -> Mapping[str, object]:
        """The backend's configuration section for the simulated hardware, as YAML would give it."""
        ...

    @property
    def resource(self) -> str:
        """The public name under which at least four healthy devices will be advertised."""
        ...

    def lose(self) -> str:
        """Make one healthy device of the resource sick or absent and return its id."""
        ...

    def recover(self) -> None:
        """Undo `lose`."""
        ...


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether a backend's hardware or library is on this host, and what was looked at."""

    present: bool
    detail: str


@dataclass(frozen=True, kw_only=True)
class BackendSpec:
    """What a backend package tells core about itself; returned by its one hook.

    `settings` is a msgspec Struct type: the backend's configuration section. `build` makes the
    backend; its third argument is the backend it replaces, or None. `capabilities` lists the
    optional protocols of this module that what `build` returns implements. `probe` must be quick
    and must not fail. `simulator` makes simulated hardware below an existing folder.
    """

    name: str
    summary: str
    settings: type[Any]
    build: Callable[[Any, Host, Backend | None], Backend]
    probe: Callable[[HostRoot], Presence]
    simulator: Callable[[Path], Simulator]
    capabilities: frozenset[type] = frozenset()


class Hooks:
    """The one hook. It is called once, at start; nothing later goes through pluggy."""

    @hookspec
    def nodeplug_backend(self) -> BackendSpec:  # type: ignore[empty-body]
        """Return the description of the backend in this package."""
