"""What hardware is wanted: the part of the configuration that describes devices of the kernel."""

import re
from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec

from nodeplug.values.section import Section
from nodeplug_custom.checks import (
    check_attributes,
    check_labels,
    check_mount_permissions,
    check_node_permissions,
    check_place,
    checked,
)
from nodeplug_custom.globs import check_pattern
from nodeplug_custom.templates import ANY_FIELDS, HARDWARE_FIELDS, fields_of

Wanted = Annotated[
    str | tuple[str, ...],
    msgspec.Meta(
        description="A glob, `!` and a glob to exclude, or a list of globs of which one must match."
    ),
]
Exclusive = Annotated[
    bool | None,
    msgspec.Meta(
        description="`true`: while a container has it, no other gets it, by whichever resource it "
        "asks. `false`: others may. `null`: as it is made; nodes such as `/dev/kvm` are for many, "
        "all else is for one."
    ),
]
FollowLinks = Annotated[
    bool,
    msgspec.Meta(
        description="Whether matches may be links that lead out of the directory before the first "
        "wildcard. Who can write there then chooses what of the host containers get. Links from "
        "one place in `/dev` to another, `/dev/shm` excepted, need no leave."
    ),
]
Labels = Annotated[
    dict[str, str],
    msgspec.Meta(
        description="Further attributes of these devices, by which `offers` and `quarantine` can "
        "pick them."
    ),
]
_HEX = re.compile(r"!?[0-9A-Fa-f*?\[\]-]{1,32}")


def satisfies(wanted: str | tuple[str, ...], value: str | None) -> bool:
    """Return whether a value is wanted; what is empty wants nothing in particular."""
    globs = (wanted,) if isinstance(wanted, str) else wanted
    globs = tuple(glob for glob in globs if glob)
    if not globs:
        return True
    denied = [glob[1:] for glob in globs if glob.startswith("!")]
    asked = [glob for glob in globs if not glob.startswith("!")]
    if any(fnmatchcase(value or "", glob) for glob in denied):
        return False
    return not asked or (value is not None and any(fnmatchcase(value, glob) for glob in asked))


def check_hex(wanted: str | tuple[str, ...]) -> None:
    """Refuse globs that no hexadecimal number matches."""
    for glob in (wanted,) if isinstance(wanted, str) else wanted:
        if glob and not _HEX.fullmatch(glob):
            raise ValueError(f"{glob!r} is not hexadecimal, such as '046d' or '04*'")


Attributes = Annotated[
    dict[str, Wanted],
    msgspec.Meta(description="Files below the device's folder in `/sys`, by relative path."),
]


class UdevMatch(Section, frozen=True):
    """Devices by what the kernel and udev say of them."""

    subsystem: Wanted = ""
    devtype: Wanted = ""
    sysname: Wanted = ""
    driver: Annotated[
        Wanted, msgspec.Meta(description="Driver of the device or of the nearest one above it.")
    ] = ""
    tags: Annotated[
        tuple[str, ...], msgspec.Meta(description="udev's tags, all of them; needs `/run/udev`.")
    ] = ()
    properties: Annotated[
        dict[str, Wanted],
        msgspec.Meta(description="Properties of the uevent and, with `/run/udev`, of udev."),
    ] = msgspec.field(default_factory=dict)
    attributes: Attributes = msgspec.field(default_factory=dict)
    parent_attributes: Annotated[
        dict[str, Wanted],
        msgspec.Meta(description="Files of devices above it; one device must have them all."),
    ] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_attributes((*self.attributes, *self.parent_attributes))
        if not any(getattr(self, field) for field in self.__struct_fields__):
            raise ValueError("an empty selector would match every device of the node; name a key")


class UsbMatch(Section, frozen=True):
    """USB devices; not hubs."""

    vendor: Annotated[Wanted, msgspec.Meta(description="Vendor id, four hexadecimal digits.")] = ""
    product: Annotated[Wanted, msgspec.Meta(description="Product id, four hexadecimal digits.")] = (
        ""
    )
    serial: Wanted = ""
    port: Annotated[Wanted, msgspec.Meta(description="Where it is plugged in, as `1-2.3`.")] = ""
    attributes: Attributes = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_attributes(self.attributes)
        checked("vendor", check_hex, self.vendor)
        checked("product", check_hex, self.product)


class PciMatch(Section, frozen=True):
    """PCI functions."""

    vendor: Annotated[Wanted, msgspec.Meta(description="Vendor id, four hexadecimal digits.")] = ""
    device: Annotated[Wanted, msgspec.Meta(description="Device id, four hexadecimal digits.")] = ""
    class_: Annotated[
        Wanted, msgspec.Meta(description="Class, six hexadecimal digits or a glob as `0300*`.")
    ] = msgspec.field(default="", name="class")
    driver: Annotated[Wanted, msgspec.Meta(description="Driver that is bound.")] = ""
    address: Annotated[Wanted, msgspec.Meta(description="Address, as `0000:65:00.0`.")] = ""
    attributes: Attributes = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_attributes(self.attributes)
        checked("vendor", check_hex, self.vendor)
        checked("device", check_hex, self.device)
        checked("class", check_hex, self.class_)
        if not any(getattr(self, field) for field in self.__struct_fields__):
            raise ValueError("an empty selector would match every function of the node; name a key")


class MdevMatch(Section, frozen=True):
    """Mediated devices."""

    type: Annotated[Wanted, msgspec.Meta(description="Type, as `nvidia-63` or its name.")] = ""
    parent: Annotated[Wanted, msgspec.Meta(description="PCI address of the parent.")] = ""
    attributes: Attributes = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_attributes(self.attributes)


class MemberSettings(Section, frozen=True):
    """A node that belongs to the same USB device or PCI function."""

    udev: UdevMatch
    optional: Annotated[
        bool, msgspec.Meta(description="Whether the device is complete without it.")
    ] = False


class ProbeSettings(Section, frozen=True):
    """A question that the device, or what serves it, answers if it is well. Give one of three."""

    command: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="A program with arguments, templates; exit code 0 is well."),
    ] = ()
    http: Annotated[
        str,
        msgspec.Meta(description="A URL `http://host[:port]/path`, a template; 2xx is well."),
    ] = ""
    socket: Annotated[
        str, msgspec.Meta(description="Path of a unix socket that accepts, a template.")
    ] = ""
    interval_seconds: Annotated[float, msgspec.Meta(ge=1, description="Pause between.")] = 30.0
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=60, description="For an answer.")] = 5.0
    failures: Annotated[
        int, msgspec.Meta(ge=1, description="So many in a row make it Unhealthy.")
    ] = 3
    successes: Annotated[
        int, msgspec.Meta(ge=1, description="So many in a row make it Healthy again.")
    ] = 1

    def __post_init__(self) -> None:
        if sum(map(bool, (self.command, self.http, self.socket))) != 1:
            raise ValueError("give one of command, http and socket")
        if self.http and not re.fullmatch(r"http://[^/\s]+(/\S*)?", self.http):
            raise ValueError(f"http: {self.http!r} is not 'http://host[:port]/path'")
        for text in (*self.command, self.http, self.socket):
            checked("probe", fields_of, text, ANY_FIELDS - {"node"})


class HealthSettings(Section, frozen=True):
    """What must hold of a device besides that it is there."""

    driver: Annotated[Wanted, msgspec.Meta(description="Driver that must be bound.")] = ""
    attributes: Annotated[
        dict[str, str],
        msgspec.Meta(
            description="Files below the device's folder in `/sys` with a glob, or a range "
            "`low..high` of numbers, either end may be missing."
        ),
    ] = msgspec.field(default_factory=dict)
    open: Annotated[
        bool,
        msgspec.Meta(
            description="Whether each node must let itself be opened. Needs a privileged container."
        ),
    ] = False
    pci_errors: Annotated[
        bool,
        msgspec.Meta(description="Whether fatal errors of the PCI function above it count."),
    ] = True
    probe: Annotated[
        ProbeSettings | None, msgspec.Meta(description="A question asked again and again.")
    ] = None


class HardwareSettings(Section, frozen=True):
    """Devices by what they are. All selectors given must hold."""

    udev: Annotated[
        UdevMatch | None,
        msgspec.Meta(description="Nodes to pass; with `usb` or `pci`, those below such a device."),
    ] = None
    usb: Annotated[
        UsbMatch | None, msgspec.Meta(description="USB devices, or the one above a node.")
    ] = None
    pci: Annotated[
        PciMatch | None, msgspec.Meta(description="PCI functions, or the nearest above a node.")
    ] = None
    mdev: Annotated[MdevMatch | None, msgspec.Meta(description="Mediated devices.")] = None
    exclude: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Globs for ids, addresses, ports, serials and nodes to leave out."
        ),
    ] = ()
    group: Annotated[
        Literal["match", "parent"],
        msgspec.Meta(
            description="`match` makes each match a device; `parent` makes one of all matches of "
            "one USB device or PCI function."
        ),
    ] = "match"
    members: Annotated[
        tuple[MemberSettings, ...],
        msgspec.Meta(description="Further nodes of the same USB device or PCI function."),
    ] = ()
    container_path: Annotated[
        str,
        msgspec.Meta(description="Path of each node in the container, a template with `{node}`."),
    ] = ""
    permissions: Annotated[
        str, msgspec.Meta(description="What a container may do: `r`, `w`, `m`.")
    ] = "rw"
    exclusive: Exclusive = None
    health: Annotated[
        HealthSettings, msgspec.Meta(description="What must hold besides presence.")
    ] = HealthSettings()
    labels: Labels = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        checked("permissions", check_node_permissions, self.permissions)
        checked("labels", check_labels, self.labels)
        if not (self.udev or self.usb or self.pci or self.mdev):
            raise ValueError("give udev, usb, pci or mdev; nothing is selected")
        if self.mdev and (self.udev or self.usb or self.pci):
            raise ValueError("mdev stands alone; a mediated device has no other selectors")
        if self.udev and self.group == "parent" and not (self.usb or self.pci):
            raise ValueError("group: parent needs usb or pci, the parents to group by")
        if self.members and self.group == "match" and self.udev:
            raise ValueError("members: needs group: parent, or no udev, to know whose they are")
        if self.container_path:
            checked("containerPath", check_place, self.container_path, HARDWARE_FIELDS)
            if "{node}" not in self.container_path:
                raise ValueError("containerPath: name {node}; all nodes would be one otherwise")


class SetSettings(Section, frozen=True):
    """Several devices of different kinds that are one for containers."""

    members: Annotated[
        tuple[HardwareSettings, ...],
        msgspec.Meta(min_length=1, description="What a set consists of."),
    ]
    take: Annotated[
        Literal["each", "all"],
        msgspec.Meta(
            description="`each`: one device of each member, as often as there are some. `all`: "
            "every device that any member matches, however many there are, all as one."
        ),
    ] = "each"
    labels: Labels = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        checked("labels", check_labels, self.labels)
        if any(member.labels for member in self.members):
            raise ValueError("members: labels are those of the set")
        if self.take == "each" and len(self.members) == 1:
            raise ValueError("members: one member alone is no set; name it under hardware")


class ZippedPath(Section, frozen=True):
    """One path of a zipped device."""

    path: Annotated[str, msgspec.Meta(description="Path on the host, as in `devices`.")]
    container_path: Annotated[
        str, msgspec.Meta(description="Path in the container; as in `devices`.")
    ] = ""
    permissions: Annotated[
        str | None,
        msgspec.Meta(
            description="`r`, `w`, `m` for device nodes. `null`: `r` for files and directories, "
            "else `rw`."
        ),
    ] = None
    type: Annotated[
        Literal["any", "nodes", "mount"],
        msgspec.Meta(
            description="`any`: device nodes are passed as devices, all else as bind mounts. "
            "`nodes`: device nodes, and a directory stands for all those in it and below. `mount`: "
            "a bind mount, whatever it is; what is a device node cannot be opened by that alone."
        ),
    ] = "any"
    follow_links: FollowLinks = False
    exclusive: Exclusive = None
    optional: Annotated[
        bool,
        msgspec.Meta(
            description="Whether a device is complete without a match; of several paths that all "
            "are optional, one must match."
        ),
    ] = False
    limit: Annotated[
        int,
        msgspec.Meta(
            ge=1,
            le=1000,
            description="How many devices have each match, where other paths match more: a "
            "control node. Above 1, others may have it, too, unless `exclusive` is `true`.",
        ),
    ] = 1

    def __post_init__(self) -> None:
        checked("path", check_pattern, self.path)
        if self.permissions is not None:
            mounted = self.type == "mount"
            check = check_mount_permissions if mounted else check_node_permissions
            checked("permissions", check, self.permissions)
        if self.container_path:
            checked("containerPath", check_place, self.container_path, frozenset({"name"}))


class ZippedSettings(Section, frozen=True):
    """Paths that belong together: the first match of each, the second of each, and so on."""

    paths: Annotated[
        tuple[ZippedPath, ...],
        msgspec.Meta(min_length=1, description="What a device consists of, one match of each."),
    ]
    uneven: Annotated[
        bool,
        msgspec.Meta(
            description="Whether devices that lack an optional path are served while it has "
            "matches, which others have."
        ),
    ] = True
    labels: Labels = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        checked("labels", check_labels, self.labels)
