"""One public resource."""

from collections.abc import Mapping

import msgspec

from nodeplug.offers.rules import Injection, Policy
from nodeplug.values.device import Device
from nodeplug.values.edits import NO_EDITS, ContainerEdits
from nodeplug.values.hardware import Uses


class OfferedDevice(msgspec.Struct, frozen=True, gc=False):
    """A device under the id that the kubelet sees."""

    id: str
    device: Device


class Offer(msgspec.Struct, frozen=True):
    """One public resource of one backend.

    `native` is the backend's name for it. `prepared` says that containers wait for the backend's
    `prepare`; `edits` are common to all devices of the resource; `links` are the backend's.
    `single` refuses requests for more than one device; `inject` is how containers get them. `uses`
    says by device id what hardware each is, where more is known than its id.
    """

    resource: str
    devices: tuple[OfferedDevice, ...] = ()
    native: str = ""
    prepared: bool = False
    edits: ContainerEdits = NO_EDITS
    links: Mapping[tuple[str, str], int] = msgspec.field(default_factory=dict)
    policy: Policy | None = None
    single: bool = False
    inject: Injection = "devices"
    uses: Mapping[str, Uses] = msgspec.field(default_factory=dict)
