"""Of two entries that select one node, the first has it: paths and hardware alike."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nodeplug.host.root import HostRoot
from nodeplug.values.device import Device
from nodeplug_custom.hardware_wanted import NoHardware
from nodeplug_custom.selection import Overlap, Owner, Selection, View

if TYPE_CHECKING:
    from nodeplug_custom.hardware import Hardware


def look(
    root: HostRoot, selection: Selection, hardware: "Hardware | NoHardware"
) -> tuple[View, list[Device]]:
    """Return what is served by path, and the devices that are hardware. Blocks."""
    view = selection.look(root)
    if isinstance(hardware, NoHardware):
        return view, []
    devices = hardware.look(root, _owners(view))
    _yield_to(view, hardware.owners)
    return view, devices


def _owners(view: View) -> dict[str, Owner]:
    """Return who has which real path, as far as only paths are looked at."""
    entries = ((seen, view.entries[seen.real]) for seen in view.sightings.values())
    return {
        seen.real: Owner(by.rank, seen.id, by.resource.name, by.device.exclusive is False)
        for seen, by in entries
    }


def _yield_to(view: View, owners: Mapping[str, Owner]) -> None:
    """Take from a view what hardware of earlier entries has; it is an overlap then."""
    for path, seen in [*view.sightings.items()]:
        entry, owner = view.entries[seen.real], owners[seen.real]
        shared = owner.shared and entry.device.exclusive is False
        if not shared and (owner.rank, owner.id) != (entry.rank, seen.id):
            del view.sightings[path]
            view.overlaps.add(Overlap(path, entry.pattern, owner.id, owner.resource))
