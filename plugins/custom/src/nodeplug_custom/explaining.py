"""What becomes of each thing that an entry selects."""

from collections.abc import Iterator

from nodeplug.backend import Omissions, Verdict
from nodeplug.host.host import Host
from nodeplug_custom.devices import device_of, resource_of
from nodeplug_custom.hardware import Hardware, HardwareMemory
from nodeplug_custom.interest import Interest
from nodeplug_custom.precedence import look
from nodeplug_custom.selection import Selection, View
from nodeplug_custom.settings import CustomSettings


def verdicts(settings: CustomSettings, host: Host) -> list[Verdict]:
    """Return them in the order of the configuration. Blocks."""
    selection = Selection(settings, host.identities)
    hardware = Hardware(settings, HardwareMemory(), Interest(settings), host.identities)
    view, devices = look(host.root, selection, hardware)
    left_out = Omissions(hardware.left_out)
    found = [
        *_by_path(selection, view, left_out),
        *(Verdict(d.id, d.resource, chosen=True, reason=d.reason or "matches") for d in devices),
    ]
    found += [Verdict(*lost[:2], chosen=False, reason=lost.reason) for lost in hardware.lost]
    found += [Verdict(name, "", chosen=False, reason=why) for name, why in left_out.items()]
    named = {verdict.resource for verdict in found}
    empty = [r.name for r in settings.resources if r.name not in named and not r.named_by_device]
    return [*found, *(Verdict("", name, chosen=False, reason="nothing matches") for name in empty)]


def _by_path(selection: Selection, view: View, left_out: Omissions) -> Iterator[Verdict]:
    for path, seen in view.sightings.items():
        entry = selection.entry(path)
        with left_out.alone(path):
            if entry is not None:
                device = device_of(entry, seen)
                reason = device.reason or "matches"
                yield Verdict(device.id, device.resource, chosen=True, reason=reason)
    for overlap in sorted(view.overlaps, key=lambda each: each.path):
        name = resource_of(selection.entry_of(overlap), overlap.path)
        reason = f"is served as {overlap.served_as} by {overlap.served_by}"
        yield Verdict(overlap.path, name, chosen=False, reason=reason)
