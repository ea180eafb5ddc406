"""What one look at the driver has shown."""

from collections.abc import Mapping

import msgspec

from nodeplug_nvidia_gpu.facts import Gpu, Links, Versions

Conditions = Mapping[str, str]
"""What is wrong now, by its source."""

NOTHING: Conditions = {}


class View(msgspec.Struct, frozen=True, kw_only=True):
    """All GPUs, those that do not answer included, as they were when they last did.

    `conditions` has an entry for each GPU that was asked, by UUID. `uncorrectable` says how many
    memory errors are new. `problem` says why no GPU could be asked, `strangers` why some cannot
    be served. `silent` are those that a call hangs of.
    """

    versions: Versions = Versions()
    gpus: tuple[Gpu, ...] = ()
    conditions: Mapping[str, Conditions] = msgspec.field(default_factory=dict)
    uncorrectable: Mapping[str, int] = msgspec.field(default_factory=dict)
    links: Links = msgspec.field(default_factory=dict)
    problem: str = ""
    strangers: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
