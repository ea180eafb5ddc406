"""The configuration section `sriov_net` as types; its schema and documentation come from them."""

from typing import Annotated, Literal

import msgspec

from nodeplug.values.names import RESOURCE_NAME, check_resource_name
from nodeplug.values.section import Section
from nodeplug_sriov_net.selector_settings import DeviceType, SelectorSettings


class HealthSettings(Section, frozen=True, kw_only=True):
    """What makes a device Unhealthy besides being absent or without its driver."""

    carrier: Annotated[
        bool, msgspec.Meta(description="Whether its physical function must have a carrier.")
    ] = False
    link_state: Annotated[
        bool,
        msgspec.Meta(
            description="Whether its link must be up as the physical function sees it: set to "
            "`enable`, or to `auto` with a carrier. Needs netlink."
        ),
    ] = False
    reporters: Annotated[
        bool,
        msgspec.Meta(
            description="Whether no devlink health reporter of it or of its physical function may "
            "be in error. Needs netlink."
        ),
    ] = False


class PoolSettings(Section, frozen=True, kw_only=True):
    """One resource that pods can ask for."""

    name: Annotated[
        str,
        msgspec.Meta(description="Name of the resource, `<domain>/<name>`, as pods ask for it."),
        RESOURCE_NAME,
    ]
    device_type: Annotated[
        DeviceType,
        msgspec.Meta(
            description="`netDevice`: network functions. `accelerator`: processing accelerators. "
            "`auxNetDevice`: sub-functions."
        ),
    ] = "netDevice"
    selectors: Annotated[
        tuple[SelectorSettings, ...],
        msgspec.Meta(
            min_length=1,
            description="What is selected: what one of the entries selects. Without it, every "
            "device of the type.",
        ),
    ] = (SelectorSettings(),)
    exclude_topology: Annotated[
        bool, msgspec.Meta(description="Whether the kubelet is not told of NUMA nodes.")
    ] = False
    additional_info: Annotated[
        dict[str, dict[str, str]],
        msgspec.Meta(
            description="Texts for `PCIDEVICE_…_INFO` by PCI address (of the parent for "
            "sub-functions) or `*` for all."
        ),
    ] = msgspec.field(default_factory=dict)
    vfio: Annotated[
        Literal["group", "iommufd", "both"],
        msgspec.Meta(
            description="Which nodes a container gets for functions bound to a VFIO driver: those "
            "of the IOMMU group, those of iommufd (`/dev/iommu`, `/dev/vfio/devices/…`), or both."
        ),
    ] = "group"
    serve_uplinks: Annotated[
        bool,
        msgspec.Meta(
            description="Whether what carries a default route of the node is served here, too: for "
            "nodes with one card, whose RDMA device pods use beside the host. Every selector must "
            "say `isRdma` and name its devices by `pciAddresses` or `netdevs`, without patterns. "
            "Nothing may move the network device into a pod: the node would lose its network."
        ),
    ] = False
    health: Annotated[
        HealthSettings, msgspec.Meta(description="What else makes a device Unhealthy.")
    ] = HealthSettings()

    def __post_init__(self) -> None:
        try:
            check_resource_name(self.name)
        except ValueError as error:
            raise ValueError(f"name: {error}") from error
        if self.device_type == "auxNetDevice" and self.selectors == (SelectorSettings(),):
            raise ValueError("selectors: are missing; deviceType auxNetDevice needs auxTypes")
        for number, selector in enumerate(self.selectors):
            try:
                selector.check_for(self.device_type)
            except ValueError as error:
                raise ValueError(f"selectors[{number}].{error}") from error
            if self.serve_uplinks and not selector.names_rdma_devices:
                raise ValueError(
                    f"serveUplinks: selectors[{number}] must say isRdma and name devices by "
                    "pciAddresses or netdevs, without patterns"
                )


class SriovNetSettings(Section, frozen=True, kw_only=True):
    """Network functions, sub-functions and accelerators on PCI."""

    pools: Annotated[
        tuple[PoolSettings, ...],
        msgspec.Meta(
            description="What is served. A device is in the first pool that selects it. The "
            "interfaces of default routes are in none."
        ),
    ] = ()
    netlink: Annotated[
        Literal["auto", "on", "off"],
        msgspec.Meta(
            description="Whether the kernel is asked for links and routes over netlink, and heard "
            "when they change; needs the host's network namespace. `auto`: where `host.root` is "
            "`/`. Without it, /sys and /proc are read."
        ),
    ] = "auto"
    reconcile_seconds: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            description="Pause between looks at the host that no event asked for; 0 for none. "
            "Events are told by the kernel at once and need no look; without netlink, it says "
            "nothing of carriers.",
        ),
    ] = 300.0

    def __post_init__(self) -> None:
        names = [pool.name for pool in self.pools]
        for position, name in enumerate(names):
            if name in names[:position]:
                raise ValueError(f"name: {name!r} is given to two pools; keep one")
        for pool in self.pools:
            if self.netlink == "off" and (pool.health.link_state or pool.health.reporters):
                raise ValueError(f"netlink: 'off' contradicts the health of pool {pool.name!r}")
