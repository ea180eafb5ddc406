"""What the operator says of resources: renamed, split, shared."""

from typing import Annotated, Literal

import msgspec

from nodeplug.selectors import Selector, check_selectors
from nodeplug.values.names import RESOURCE_NAME_OR_NONE, RESOURCE_NAMES, check_resource_name
from nodeplug.values.section import Section

Policy = Literal["packed", "spread", "aligned"]
Injection = Literal["devices", "cdi", "cdi-annotations"]

# Five digits fit behind the longest native id (R23): 56 + 2 + 5 <= 63.
_REPLICAS_LIMIT = 100_000


class OfferRule(Section, frozen=True):
    """How some devices of a resource are advertised."""

    resource: Annotated[
        str,
        msgspec.Meta(
            description="The backend's own name of the resource to change. With `*` at its end: "
            "every resource whose name begins so."
        ),
        RESOURCE_NAMES,
    ]
    devices: Annotated[
        dict[str, Selector],
        msgspec.Meta(
            description="Only devices whose attributes match. `nodeplug devices --output json` "
            "shows attributes; `id`, `parent` and `numa` count too. A value is equality, a glob, "
            "`!` and a value to exclude, `>=`, `<=`, `>`, `<` and a number, a range `a..b`, or a "
            "list of these."
        ),
    ] = msgspec.field(default_factory=dict)
    rename: Annotated[
        str,
        msgspec.Meta(description="The public name; empty keeps the backend's name."),
        RESOURCE_NAME_OR_NONE,
    ] = ""
    split_by: Annotated[
        str,
        msgspec.Meta(
            description="An attribute; its value is added to the name, so that each value is a "
            "resource of its own."
        ),
    ] = ""
    replicas: Annotated[
        int,
        msgspec.Meta(
            ge=1,
            le=_REPLICAS_LIMIT,
            description="How many containers may share each device. There is no isolation between "
            "them. The kubelet takes lists of 4 MiB: 50,000 to 100,000 replicas of a resource.",
        ),
    ] = 1
    mark_shared: Annotated[
        bool, msgspec.Meta(description="Whether a shared resource's name ends in `.shared`.")
    ] = False
    fail_requests_greater_than_one: Annotated[
        bool,
        msgspec.Meta(
            description="Whether a container that asks for more than one shared device is refused: "
            "more replicas give it no more of the device."
        ),
    ] = False
    policy: Annotated[
        Policy | None,
        msgspec.Meta(
            description="Which devices the kubelet is told to prefer: `packed` fills up what is in "
            "use, `spread` takes what is used least, `aligned` takes those close to each other. "
            "Without it the kubelet chooses."
        ),
    ] = None

    inject: Annotated[
        Injection,
        msgspec.Meta(
            description="How containers get the devices: `devices` in the kubelet's own terms, "
            "`cdi` by names of the Container Device Interface, `cdi-annotations` by the same names "
            "in annotations, for kubelets before 1.28. With CDI, hooks take effect too."
        ),
    ] = "devices"

    def __post_init__(self) -> None:
        if self.resource.endswith("*"):
            check_resource_name(self.resource.replace("*", "x"))
            if self.rename:
                raise ValueError(f"{self.resource} means several resources; one name cannot do")
        else:
            check_resource_name(self.resource)
            check_resource_name(self.public_name)
        check_selectors(self.devices)

    def means(self, resource: str) -> bool:
        """Whether the rule is for a resource, by its backend's own name."""
        if self.resource.endswith("*"):
            return resource.startswith(self.resource[:-1])
        return self.resource == resource

    @property
    def public_name(self) -> str:
        """The name before any split."""
        return self.name_for(self.resource)

    def name_for(self, resource: str) -> str:
        """Return the public name of a resource before any split; it may be no valid one."""
        shared = ".shared" if self.mark_shared and self.replicas > 1 else ""
        return f"{self.rename or resource}{shared}"
