"""What a backend package tells core about itself, and the one hook that asks."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pluggy

from nodeplug.backend.inspection import Command, Finding, Presence, Verdict
from nodeplug.backend.privileges import Privilege
from nodeplug.backend.protocols import Backend
from nodeplug.backend.simulator import Simulator
from nodeplug.host.host import Host
from nodeplug.host.root import HostRoot

ENTRY_POINT_GROUP = "nodeplug.backends"
METRICS_PORT = 9840

hookspec = pluggy.HookspecMarker("nodeplug")
hookimpl = pluggy.HookimplMarker("nodeplug")


class Translation(msgspec.Struct, frozen=True, kw_only=True):
    """What another device plugin's configuration file says, in nodeplug's words.

    `section` is the backend's section and `offers` are entries for the list of that name, both as
    YAML would give them. `refused` names what is wrong and therefore left out, `ignored` what
    means nothing here, `notes` what has an effect that its author may not expect: one line each,
    that begins with the key as the file has it. What decides who may use a device is not ignored.
    """

    section: Mapping[str, object]
    offers: Sequence[Mapping[str, object]] = ()
    refused: Sequence[str] = ()
    ignored: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class BackendSpec:
    """What a backend package tells core about itself; returned by its one hook.

    `settings` is a msgspec Struct type: the backend's configuration section. `entries` is the key
    of a list in it whose entries stand each alone: a wrong one is left out, the others are served.
    `build` makes the backend; its third argument is the backend it replaces, or None.
    `capabilities` lists the optional protocols that what `build` returns implements. `probe` must
    be quick and must not fail. `simulator` makes simulated hardware below an existing folder.

    `reader` takes the parsed file of the plugin that this backend replaces; it raises
    InvalidValueError when the whole file is unusable. `explain` tells what becomes of each device
    that the backend could serve, and why. `checks` finds what is wrong with the node; it may block.
    `names` tells what its settings call its resources, as far as that is known without the
    hardware; no other backend's resource is renamed to one of them. `commands` are added to the
    command line. `privileges` is all that the process needs on the
    host, by feature. `metrics_port` is where metrics are served unless the operator says otherwise.
    """

    name: str
    summary: str
    settings: type[Any]
    build: Callable[[Any, Host, Backend | None], Backend]
    probe: Callable[[HostRoot], Presence]
    simulator: Callable[[Path], Simulator]
    capabilities: frozenset[type] = frozenset()
    entries: str = ""
    reader: Callable[[object], Translation] | None = None
    explain: Callable[[Any, Host], Awaitable[Sequence[Verdict]]] | None = None
    checks: Callable[[Any, HostRoot], Sequence[Finding]] | None = None
    names: Callable[[Any], Collection[str]] | None = None
    commands: Sequence[Command] = ()
    privileges: Sequence[Privilege] = ()
    metrics_port: int = METRICS_PORT

    def own_names(self, settings: Any | None) -> Collection[str]:
        """Return what settings, if there are any, call its resources."""
        return self.names(settings) if self.names and settings is not None else ()


class Hooks:
    """The one hook. It is called once, at start; nothing later goes through pluggy."""

    @hookspec
    def nodeplug_backend(self) -> BackendSpec:  # type: ignore[empty-body]
        """Return the description of the backend in this package."""
