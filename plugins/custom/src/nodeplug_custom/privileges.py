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
)
