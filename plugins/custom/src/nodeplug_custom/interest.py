"""Which kernel events concern hardware that the configuration asks for."""

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from nodeplug.host.sysfs import ancestors
from nodeplug.host.uevents import Uevent
from nodeplug_custom.matches import HardwareSettings, UdevMatch
from nodeplug_custom.settings import CustomSettings

if TYPE_CHECKING:
    from nodeplug_custom.hardware_devices import Sight

_WILD = frozenset("*?[!")


class Interest:
    """Remembers, too, which PCI functions the kernel is recovering from an error, or gave up."""

    def __init__(self, settings: CustomSettings) -> None:
        self.failed_pci: set[str] = set()
        self.udev_database = any(
            udev.tags or udev.properties for entry in _entries(settings) for udev in _udevs(entry)
        )
        self._all = False
        self._followed: Collection[str] = ()
        self._above: Collection[str] = ()
        self._subsystems: set[str] = set()
        for entry in _entries(settings):
            self._add(entry)

    @property
    def any(self) -> bool:
        """Whether there is hardware in the configuration at all."""
        return self._all or bool(self._subsystems)

    def follow(self, sights: Iterable["Sight"]) -> None:
        """Take for granted that whatever happens below these devices, or to one above, matters."""
        parts = [each for sight in sights for each in sight.unit.findings]
        places = {each.devpath for each in parts} | {each.parent.devpath for each in parts}
        self._followed = places
        self._above = {above for place in places for above in ancestors(place)}

    def events_were_lost(self) -> None:
        """Forget errors: the event that one is overcome may be among the lost."""
        self.failed_pci.clear()

    def concerns(self, event: Uevent) -> bool:
        """Return whether an event may change what is found; take note of PCI errors."""
        if not self.any:
            return False
        is_meant = self._all or event.subsystem in self._subsystems
        return self._note_error(event) or is_meant or self._is_near(event)

    def _is_near(self, event: Uevent) -> bool:
        # A driver makes nodes after the event that it is bound (Linux, drivers/base/dd.c).
        if event.devpath in self._above:
            return event.action in {"bind", "unbind"}
        return any(place in self._followed for place in (event.devpath, *ancestors(event.devpath)))

    def _note_error(self, event: Uevent) -> bool:
        # Linux, pci_uevent_ers: what becomes of a function after an error of its link.
        stage = event.properties.get("ERROR_EVENT", "")
        address = event.devpath.rpartition("/")[2]
        if stage in {"BEGIN_RECOVERY", "FAILED_RECOVERY"}:
            self.failed_pci.add(address)
        elif address in self.failed_pci and (
            stage == "SUCCESSFUL_RECOVERY" or event.action in {"add", "bind", "remove"}
        ):
            self.failed_pci.discard(address)
        else:
            return False
        return True

    def _add(self, entry: HardwareSettings) -> None:
        self._subsystems |= {"usb"} if entry.usb else set()
        self._subsystems |= {"pci", "vfio", "vfio-dev"} if entry.pci else set()
        self._subsystems |= {"mdev", "vfio"} if entry.mdev else set()
        for udev in _udevs(entry):
            names = (udev.subsystem,) if isinstance(udev.subsystem, str) else udev.subsystem
            if any(not name or _WILD & set(name) for name in names):
                self._all = True
            self._subsystems.update(names)


def _entries(settings: CustomSettings) -> Iterator[HardwareSettings]:
    for resource in settings.resources:
        yield from resource.hardware
        for wanted in resource.sets:
            yield from wanted.members


def _udevs(entry: HardwareSettings) -> Iterator[UdevMatch]:
    if entry.udev:
        yield entry.udev
    for member in entry.members:
        yield member.udev
