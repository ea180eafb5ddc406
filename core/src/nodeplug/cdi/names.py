"""Naming devices in an answer to the kubelet."""

import zlib
from collections.abc import Sequence

from nodeplug.cdi.spec import entry_of, qualified_name
from nodeplug.offers import Offer
from nodeplug.values.device import Device
from nodeplug.values.edits import ContainerEdits


def named(offer: Offer, devices: Sequence[Device]) -> ContainerEdits:
    """Return the edits that name devices, the way the offer injects them.

    Devices that bring no edits of their own have no entry and no name. R60: of equal annotation
    keys the kubelet keeps one, so every resource has a key of its own.
    """
    entries = [(each, entry_of(each, offer.edits)) for each in devices]
    names = [qualified_name(offer.resource, each) for each, entry in entries if entry]
    if offer.inject == "cdi" or not names:
        return ContainerEdits(cdi_devices=tuple(names))
    key = f"cdi.k8s.io/nodeplug_{zlib.crc32(offer.resource.encode()):08x}"
    return ContainerEdits(annotations={key: ",".join(names)})
