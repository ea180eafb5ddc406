"""What the process needs on the host."""

from typing import Final

from nodeplug.backend import HostMount, Privilege

PRIVILEGES: Final = (
    Privilege(
        feature="finding devices",
        reason="device nodes are looked at and never opened; folders of other paths are named to "
        "the chart in `hostPaths`",
        mounts=[HostMount("/dev")],
    ),
    *(
        Privilege(
            feature=f"udev's {what} of {whose}",
            setting=f"resources[].hardware[].{key}.{what}",
            reason="tags, and properties such as ID_MODEL, are in udev's database alone",
            mounts=[HostMount("/run/udev")],
        )
        for key, whose in (("udev", "hardware"), ("members[].udev", "its members"))
        for what in ("tags", "properties")
    ),
    Privilege(
        feature="opening a device to see whether it works",
        setting="resources[].hardware[].health.open=true",
        reason="only a privileged container may open device nodes of the host",
        privileged=True,
    ),
)
