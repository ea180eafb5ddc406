"""What must be remembered of devices that the host shows in part only."""

import threading
from collections.abc import Iterable, Sequence

import msgspec

from nodeplug.host.identities import Identities
from nodeplug.host.root import HostRoot
from nodeplug_sriov_net.candidates import Candidate
from nodeplug_sriov_net.facts import Function, is_uio
from nodeplug_sriov_net.selector_settings import SelectorSettings
from nodeplug_sriov_net.survey import Survey


class Place(msgspec.Struct, frozen=True):
    """Where a device was served: the pool's name and the selector that meant it."""

    pool: str
    selector: SelectorSettings


class Memory:
    """What devices were before; outlives a reload of the configuration.

    Which of them are uplinks of the host outlives the process and the boot, too: `identities` is
    asked for that.

    A network device that is given to a container leaves the host's network namespace, and its
    function then shows none; so does an RDMA device where the RDMA subsystem is set to it.
    `survey` is what was seen of the host; `looking` is held while somebody looks at it.
    """

    def __init__(self, identities: Identities | None = None) -> None:
        self._identities = identities or Identities()
        self.looking = threading.Lock()
        self.survey: Survey | None = None
        self._whole: dict[str, Candidate] = {}
        self._places: dict[str, Place] = {}

    def surveyed(self, root: HostRoot) -> Survey:
        """Return the one survey of the host, which knows who does not answer."""
        if self.survey is None:
            self.survey = Survey(root)
        return self.survey

    def completed(self, found: Iterable[Candidate]) -> list[Candidate]:
        """Return the devices, with what containers have of them as it was seen last.

        What has not changed is the same object as before.
        """
        completed = self._with_uplinks([self._complete(each) for each in found])
        known = ((each, self._whole.get(each.id)) for each in completed)
        devices = [before if before == each else each for each, before in known]
        self._whole = {each.id: each for each in devices}
        for gone in self._places.keys() - self._whole.keys():
            del self._places[gone]
        return devices

    def place(self, device_id: str) -> Place | None:
        """Return where a device was served last, while it has been there."""
        return self._places.get(device_id)

    def serve(self, device_id: str, place: Place) -> None:
        """Take note of where a device is served."""
        self._places[device_id] = place

    def _with_uplinks(self, found: Sequence[Candidate]) -> list[Candidate]:
        """Mark what is an uplink although it has lost its route, as one that is down has."""
        marked = {each.id for each in found if each.uplink}
        unmarked = {each.id for each in found if not each.uplink and _is_no_uplink(each)}
        uplinks = self._identities.marks("sriov_net/uplinks", marked, unmarked)
        return [
            msgspec.structs.replace(each, uplink=True)
            if each.id in uplinks and not each.uplink
            else each
            for each in found
        ]

    def _complete(self, found: Candidate) -> Candidate:
        before = self._whole.get(found.id)
        if before is None:
            return found
        if before.driver == found.driver and not _is_user_space(found):
            found = _with_own(found, before)
        owner_is_same = _driver_of(found.owner) == _driver_of(before.owner) is not None
        if found.owner_link is None and owner_is_same:  # it is in a container, or is made anew
            found = msgspec.structs.replace(found, owner_link=before.owner_link)
        return found


def _with_own(found: Candidate, before: Candidate) -> Candidate:
    links, part = found.links or before.links, found.part
    if part.capable and not part.rdma:
        part = msgspec.structs.replace(part, rdma=before.part.rdma)
    return msgspec.structs.replace(found, links=links, part=part)


def _is_no_uplink(found: Candidate) -> bool:
    handed_over = bool(found.driver) and _is_user_space(found)
    return handed_over or any(link.carrier for link in found.links)


def _driver_of(function: Function | None) -> str | None:
    return function.pci.driver if function else None


def _is_user_space(found: Candidate) -> bool:
    by_vfio = found.sub is None and found.function.by_vfio
    return not found.driver or by_vfio or is_uio(found.driver)
