"""What hardware is called."""

import re
from collections.abc import Collection, Mapping

from nodeplug.host.identities import Claim, Identities, natural
from nodeplug.host.root import HostRoot
from nodeplug_custom.findings_values import Finding, Parent
from nodeplug_custom.ids import id_of_hardware
from nodeplug_custom.positions import label_of, position_of

_BUS = re.compile(r"(?P<controller>.*?)/(?P<bus>usb[0-9]+)/.*")


def named(
    root: HostRoot, identities: Identities, found: Collection[Finding]
) -> Mapping[Finding, str]:
    """Return the ids of all that was found: what was there before has the id that it had. Blocks.

    Sticks of one kind may all have the serial number of the first. Those who come beside it get
    their ports besides. Parts of one device are told apart by where below it they are.
    """
    words = _words(root, identities, {each.parent for each in found})
    claims = [_claim(words[each.parent], each) for each in found]
    ids = identities.assign("custom/hardware", claims)
    # The memory is a file; what it says must be an id whatever it holds.
    return {each: id_of_hardware(its) for each, its in zip(found, ids, strict=True)}


def _words(
    root: HostRoot, identities: Identities, parents: Collection[Parent]
) -> Mapping[Parent, str]:
    """Return what each physical device is called; that may be too long for an id."""
    usb = [parent for parent in parents if parent.kind == "usb"]
    claims = [_claim_of_usb(root, parent) for parent in usb]
    known = zip(usb, identities.assign("custom/usb", claims), strict=True)
    return {each: f"{each.kind}-{each.name}" for each in parents} | dict(known)


def _claim_of_usb(root: HostRoot, parent: Parent) -> Claim:
    name = f"usb-{parent.name}"
    if not parent.serial:
        return Claim(f"usb@{_place(root, parent)}", (name,), name)
    return Claim(f"{name}@{_place(root, parent)}", (name, f"{name}-{parent.port}"), name)


def _place(root: HostRoot, parent: Parent) -> str:
    """Return where a device is plugged in: its controller, which bus of that, and the port.

    The number of a bus depends on which controller the kernel found first.
    """
    above = _BUS.fullmatch(parent.devpath)
    if above is None:
        return parent.port
    folder = root.path(f"/sys{above['controller']}")
    buses = [each.name for each in folder.glob("usb*") if each.name[3:].isdecimal()]
    number = sorted(buses, key=natural).index(above["bus"]) if above["bus"] in buses else 0
    return f"{above['controller']}/{number}-{parent.port.partition('-')[2]}"


def _claim(words: str, found: Finding) -> Claim:
    parent = found.parent
    if not found.part:
        more = found.subsystem if parent.kind == "udev" else ""
        return Claim(f"{words}:{more}", (id_of_hardware(words, each) for each in ("", more)))
    below = found.devpath.removeprefix(parent.devpath)
    position = position_of(below)
    kin = f"{words}:{found.part}:{'/'.join(position)}"
    names = (id_of_hardware(words, found.part, more) for more in ("", label_of(position)))
    return Claim(f"{words}:{found.part}:{below}", names, kin, ordered=True)
