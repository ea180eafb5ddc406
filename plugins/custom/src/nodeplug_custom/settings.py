"""The configuration section `custom` as types; its schema and documentation come from them."""

from typing import Annotated, Literal

import msgspec

from nodeplug.values.names import RESOURCE_TEMPLATE, check_resource_name
from nodeplug.values.section import Section
from nodeplug_custom.checks import (
    check_distinct,
    check_env,
    check_labels,
    check_mount_permissions,
    check_node_permissions,
    check_place,
    check_text,
    checked,
)
from nodeplug_custom.globs import Glob, check_pattern
from nodeplug_custom.matches import (
    Exclusive,
    FollowLinks,
    HardwareSettings,
    Labels,
    SetSettings,
    ZippedSettings,
)
from nodeplug_custom.regexes import Regex, check_regex
from nodeplug_custom.templates import ANY_FIELDS, FIELDS, PLACE_FIELDS, fields_of

DeviceType = Literal["node", "nodes", "char", "block", "file", "directory", "socket", "fifo"]


class DeviceSettings(Section, frozen=True, kw_only=True):
    """Which paths of the host are devices, and how containers see them."""

    regex: Annotated[
        str,
        msgspec.Meta(
            description="In the place of `path`: a regular expression with a match anywhere in the "
            "path below `/dev`."
        ),
    ] = ""
    path: Annotated[
        str,
        msgspec.Meta(
            description="Path on the host; `*`, `?` and `[...]` match within a step. Every match "
            "is one device. Of two matches that lead to the same node, the first in the order of "
            "the file, then of the name, is the device. `[*]` stands for the character itself."
        ),
    ] = ""
    type: Annotated[
        DeviceType,
        msgspec.Meta(
            description="What a match must be to be healthy; `node` is `char` or `block`, `nodes` "
            "either of these or a directory, which stands for all device nodes in it and below. "
            "Device nodes are passed as devices, anything else as a bind mount."
        ),
    ] = "node"
    container_path: Annotated[
        str,
        msgspec.Meta(
            description="Path in the container, a template without `{path}`. Empty: as on the "
            "host. With `/` at its end: that directory and the name of the match."
        ),
    ] = ""
    exclusive: Exclusive = None
    permissions: Annotated[
        str | None,
        msgspec.Meta(
            description="What a container may do: `r` read, `w` write, `m` mknod. What is no "
            "device node takes `r` or `rw`. `null`: `r` for files and directories, else `rw`."
        ),
    ] = None
    follow_links: FollowLinks = False
    labels: Labels = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        checked("labels", check_labels, self.labels)
        if bool(self.path) == bool(self.regex):
            raise ValueError("give one of path and regex")
        if self.regex:
            checked("regex", check_regex, self.regex)
        else:
            checked("path", check_pattern, self.path)
        check_permissions = check_node_permissions if self.is_node else check_mount_permissions
        if self.permissions is not None:
            checked("permissions", check_permissions, self.permissions)
        if not self.container_path:
            return
        checked("containerPath", check_place, self.container_path, PLACE_FIELDS)
        if self.pattern.wild and not fields_of(self.container_template):
            raise ValueError(
                f"containerPath: {self.container_path!r} would be the same for all devices of "
                f"{self.path or self.regex!r}; end it with '/' or name a field: '/dev/{{name}}'"
            )

    @property
    def pattern(self) -> Glob | Regex:
        """What paths must match."""
        deep = self.type == "nodes"
        return Regex(self.regex, deep=deep) if self.regex else Glob(self.path, deep=deep)

    @property
    def is_node(self) -> bool:
        """Whether the devices are device nodes."""
        return self.type in {"node", "nodes", "char", "block"}

    @property
    def container_template(self) -> str:
        """The path in the container as a template that is never empty."""
        if self.container_path.endswith("/"):
            return f"{self.container_path}{{name}}"
        return self.container_path or "{hostPath}"


class MountSettings(Section, frozen=True, kw_only=True):
    """A file or directory of the host that containers get with each device."""

    host_path: Annotated[
        str,
        msgspec.Meta(
            description="Path on the host, a template. The agent does not look at it: where it is "
            "missing, the container runtime says so."
        ),
    ]
    container_path: Annotated[
        str, msgspec.Meta(description="Path in the container, a template. Empty: as on the host.")
    ] = ""
    read_only: Annotated[bool, msgspec.Meta(description="Whether containers cannot write.")] = True

    def __post_init__(self) -> None:
        checked("hostPath", check_place, self.host_path)
        if not self.container_path:
            return
        checked("containerPath", check_place, self.container_path)
        if fields_of(self.host_path) and not fields_of(self.container_path):
            raise ValueError(
                f"containerPath: {self.container_path!r} would be the same for every device, "
                f"{self.host_path!r} is not; name a field in both or in neither"
            )


class NodeSettings(Section, frozen=True, kw_only=True):
    """A device node of the host that containers get with each device."""

    path: Annotated[str, msgspec.Meta(description="Path on the host, without wildcards.")]
    container_path: Annotated[
        str, msgspec.Meta(description="Path in the container. Empty: as on the host.")
    ] = ""
    permissions: Annotated[
        str, msgspec.Meta(description="What a container may do: `r`, `w`, `m`.")
    ] = "rw"

    def __post_init__(self) -> None:
        checked("path", check_pattern, self.path)
        if Glob(self.path).wild:
            raise ValueError(f"path: {self.path!r} must be one path, without wildcards")
        checked("permissions", check_node_permissions, self.permissions)
        if self.container_path:
            checked("containerPath", check_place, self.container_path, frozenset())


class ResourceSettings(Section, frozen=True, kw_only=True):
    """One resource that pods can ask for."""

    name: Annotated[
        str,
        msgspec.Meta(
            description="Name of the resource, `<domain>/<name>`, as pods ask for it. With "
            "`{name}`, each device by path is a resource of its own, named for its path in "
            "`/dev`, in which all but letters, digits, `_` and `-` is `_`."
        ),
        RESOURCE_TEMPLATE,
    ]
    devices: Annotated[
        tuple[DeviceSettings, ...],
        msgspec.Meta(description="Devices by path."),
    ] = ()
    hardware: Annotated[
        tuple[HardwareSettings, ...],
        msgspec.Meta(description="Devices by what they are."),
    ] = ()
    sets: Annotated[
        tuple[SetSettings, ...],
        msgspec.Meta(description="Devices of different kinds that are one for containers."),
    ] = ()
    zipped: Annotated[
        tuple[ZippedSettings, ...],
        msgspec.Meta(description="Paths of which the first matches are one device, and so on."),
    ] = ()
    env: Annotated[
        dict[str, str],
        msgspec.Meta(
            description="Environment variables, templates. The values of several devices in one "
            "container are joined with `,` in the order of their ids."
        ),
    ] = msgspec.field(default_factory=dict)
    annotations: Annotated[
        dict[str, str],
        msgspec.Meta(
            description="Annotations for the container runtime, templates, joined like `env`."
        ),
    ] = msgspec.field(default_factory=dict)
    mounts: Annotated[
        tuple[MountSettings, ...],
        msgspec.Meta(description="What containers get of the host with each device."),
    ] = ()

    nodes: Annotated[
        tuple[NodeSettings, ...],
        msgspec.Meta(
            description="Device nodes that containers get with each device, and that all of them "
            "share: a control node such as `/dev/kfd`."
        ),
    ] = ()

    @property
    def named_by_device(self) -> bool:
        """Whether each device is a resource of its own."""
        return "{name}" in self.name

    def __post_init__(self) -> None:
        checked("name", check_resource_name, self.name.replace("{name}", "x"))
        if self.named_by_device and (self.hardware or self.sets or self.zipped):
            raise ValueError("name: {name} is for devices by path only")
        if not (self.devices or self.hardware or self.sets or self.zipped):
            raise ValueError(f"{self.name} consists of nothing; give devices, hardware or sets")
        allowed = FIELDS if self.devices or self.zipped else ANY_FIELDS - {"node"}
        for name, text in self.env.items():
            checked("env", check_env, name, text, allowed)
        for name, text in self.annotations.items():
            checked("annotations", check_text, name, text, allowed)


class CustomSettings(Section, frozen=True, kw_only=True):
    """Devices served by configuration alone."""

    resources: Annotated[
        tuple[ResourceSettings, ...],
        msgspec.Meta(description="What is served. No two entries have the same name or path."),
    ] = ()
    reconcile_seconds: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            description="Pause between looks at the host that no event asked for; 0 for none. "
            "Events are told by the kernel at once and need no look.",
        ),
    ] = 60.0

    def __post_init__(self) -> None:
        check_distinct("name", [resource.name for resource in self.resources])
        entries = [each for one in self.resources for each in one.devices]
        check_distinct("path", [each.path or each.regex for each in entries])
