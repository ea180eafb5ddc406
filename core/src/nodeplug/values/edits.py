"""What a container gets for its devices, in the terms that CDI and the kubelet share."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeVar

from nodeplug.values.errors import EditsConflictError, InvalidValueError
from nodeplug.values.names import check_cdi_name, check_env_name

EMPTY: Mapping[str, str] = MappingProxyType({})
HookName = Literal["createRuntime", "createContainer", "startContainer", "poststart", "poststop"]


def _check_path(path: str) -> None:
    # R61: the kubelet hands host and container paths to the runtime unchecked.
    if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise InvalidValueError(f"path {path!r} must be absolute and without '..'")


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """A device node of the host, made accessible inside the container.

    An empty container path means the host path. Permissions are a subset of "rwm", in that
    order: read, write, mknod.
    """

    host_path: str
    container_path: str = ""
    permissions: str = "rw"

    def __post_init__(self) -> None:
        _check_path(self.host_path)
        if not self.container_path:
            object.__setattr__(self, "container_path", self.host_path)
        _check_path(self.container_path)
        if self.permissions not in {"r", "w", "m", "rw", "rm", "wm", "rwm"}:
            raise InvalidValueError(f"permissions {self.permissions!r} are not a subset of 'rwm'")


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or directory of the host, bind-mounted into the container."""

    host_path: str
    container_path: str = ""
    read_only: bool = True

    def __post_init__(self) -> None:
        _check_path(self.host_path)
        if not self.container_path:
            object.__setattr__(self, "container_path", self.host_path)
        _check_path(self.container_path)


_Entry = TypeVar("_Entry", DeviceNode, Mount)


@dataclass(frozen=True, slots=True)
class Hook:
    """An OCI hook. It runs only where devices are injected through CDI.

    The v1beta1 API has no field for it, so a device must be usable without its hooks.
    """

    name: HookName
    path: str
    args: tuple[str, ...] = ()
    envs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_path(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerEdits:
    """Everything that one device, or one set of devices, adds to a container."""

    nodes: tuple[DeviceNode, ...] = ()
    mounts: tuple[Mount, ...] = ()
    envs: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    annotations: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    hooks: tuple[Hook, ...] = ()
    cdi_devices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value in self.envs.items():
            check_env_name(name)
            if "\0" in value:
                raise InvalidValueError(f"value of environment variable {name} contains NUL")
        for name in self.cdi_devices:
            check_cdi_name(name)

    def yielding_to(self, top: "ContainerEdits") -> "ContainerEdits":
        """Return these edits less the environment and annotations that `top` sets too.

        So a value that depends on the whole set of devices (a joined list) takes the place of
        the value that each device alone would have brought.
        """
        if self.envs.keys().isdisjoint(top.envs) and self.annotations.keys().isdisjoint(
            top.annotations
        ):
            return self
        return ContainerEdits(
            nodes=self.nodes,
            mounts=self.mounts,
            envs={k: v for k, v in self.envs.items() if k not in top.envs},
            annotations={k: v for k, v in self.annotations.items() if k not in top.annotations},
            hooks=self.hooks,
            cdi_devices=self.cdi_devices,
        )


NO_EDITS = ContainerEdits()


def merge(parts: Iterable[ContainerEdits]) -> ContainerEdits:
    """Return one set of edits that holds all parts, in their order, equal entries once.

    Raises EditsConflictError when two parts give one environment variable, annotation or
    container path different meanings. R60: the kubelet would silently keep a random one.
    """
    parts = tuple(part for part in parts if part is not NO_EDITS)
    if len(parts) == 1:
        return parts[0]
    nodes = _by_container_path(node for part in parts for node in part.nodes)
    mounts = _by_container_path(mount for part in parts for mount in part.mounts)
    return ContainerEdits(
        nodes=nodes,
        mounts=mounts,
        envs=_by_key("environment variable", (part.envs for part in parts)),
        annotations=_by_key("annotation", (part.annotations for part in parts)),
        hooks=tuple(dict.fromkeys(hook for part in parts for hook in part.hooks)),
        cdi_devices=tuple(dict.fromkeys(name for part in parts for name in part.cdi_devices)),
    )


def _by_container_path(entries: Iterable[_Entry]) -> tuple[_Entry, ...]:
    seen: dict[str, _Entry] = {}
    for entry in entries:
        first = seen.setdefault(entry.container_path, entry)
        if first != entry:
            raise EditsConflictError(
                f"{first.host_path} and {entry.host_path} both want {entry.container_path} "
                "in one container"
            )
    return tuple(seen.values())


def _by_key(kind: str, maps: Iterable[Mapping[str, str]]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for mapping in maps:
        for key, value in mapping.items():
            if merged.setdefault(key, value) != value:
                raise EditsConflictError(
                    f"{kind} {key} would be {merged[key]!r} for one device, {value!r} for another"
                )
    return merged
