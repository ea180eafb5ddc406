"""Hardware that the configuration asks for, as devices."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial

import msgspec

from nodeplug.backend import Omissions
from nodeplug.host.identities import Identities
from nodeplug.host.nodes import Seen
from nodeplug.host.reads import Question, Reads, Silence
from nodeplug.host.root import HostRoot
from nodeplug.values.device import Device, Health
from nodeplug_custom.buses import Buses
from nodeplug_custom.conditions import judged
from nodeplug_custom.globs import Place
from nodeplug_custom.hardware_devices import Sight, device_of, values_of
from nodeplug_custom.interest import Interest
from nodeplug_custom.matching import key_of
from nodeplug_custom.patience import Patience
from nodeplug_custom.probing import Probing
from nodeplug_custom.selection import Found, Owner
from nodeplug_custom.settings import CustomSettings, ResourceSettings
from nodeplug_custom.unit import Unit
from nodeplug_custom.units import Eye, Lost, units_of
from nodeplug_custom.uses import common_nodes, of_unit

Made = tuple[Sight, Device]

_log = logging.getLogger("nodeplug.custom")

# A host that makes and removes devices for ever must not fill the memory.
_GONE_LIMIT = 1000
_LOGGED = 10


class HardwareMemory:
    """What was seen before; outlives a reload as far as the resource stays as it was.

    `reads` are those of devices, `patience` is what paths were on file systems that may hang.
    """

    def __init__(self, patience: Patience[Found] | None = None) -> None:
        self.seen: dict[bytes, dict[str, Device]] = {}
        self.reads = Reads()
        self.patience = patience or Patience[Found]()


class Hardware:
    """Looks at the host for all resources, and asks what it found whether it is well.

    Of the last look are: `sights` by device, `left_out` that it could not make sense of, `lost`
    that others have, `owners` of nodes, and `places` where a change would matter.
    """

    def __init__(
        self,
        settings: CustomSettings,
        memory: HardwareMemory,
        interest: Interest,
        identities: Identities,
    ) -> None:
        self.sights: dict[str, Sight] = {}
        self.left_out = Omissions()
        self.lost: list[Lost] = []
        self.owners: dict[str, Owner] = {}
        self.places = set[Place]()
        self._probing: Probing | None = None
        self._silence: Silence | None = None
        self._reported: set[tuple[str, str]] = set()
        self._resources = {
            rank: each
            for rank, each in enumerate(settings.resources)
            if each.hardware or each.sets or each.zipped
        }
        self._memory = memory
        self._identities = identities
        self._interest = interest
        keys = [_key(resource) for resource in self._resources.values()]
        memory.seen = {key: memory.seen.get(key, {}) for key in keys}

    def begin(self, look: Callable[[], None]) -> None:
        """Have `look` called, on this event loop, when another look is worth it."""
        self._probing = Probing(look)
        self._silence = Silence(self._memory.reads, "custom ", look)

    def follow(self) -> None:
        """Tell who does not answer, probe what was seen, and mind what happens to it."""
        if self._silence is not None and self._probing is not None:
            self._silence.tell()
            self._probing.follow(self.sights)
        self._interest.follow(self.sights.values())

    async def close(self) -> None:
        """End what `begin` began."""
        if self._silence is not None and self._probing is not None:
            self._silence.close()
            await self._probing.close()

    def look(self, root: HostRoot, taken: Mapping[str, Owner]) -> list[Device]:
        """Return all devices, those that were there and are gone too. Blocks.

        `taken` are the nodes of devices by path.
        """
        verdicts = dict(self._probing.verdicts) if self._probing else {}
        self.left_out, self.owners = Omissions(), dict(taken)
        buses = Buses(root, self._memory.reads, self.left_out)
        resources = [*self._resources.values()]
        eye = Eye(buses, self._identities, self._memory.patience, resources)
        made: dict[str, Made] = {}
        with self._memory.reads:
            for rank, resource in self._resources.items():
                units = units_of(eye, resource, rank, self.owners)
                new = self._without_others(eye, resource, units, made)
                made |= self._made(buses, resource, new, common_nodes(units), verdicts)
                self._remember(resource, made)
        self.sights = {name: sight for name, (sight, _) in made.items()}
        self._tell_lost(eye.lost)
        self.lost, self.places = eye.lost, eye.places
        devices = {name: device for name, (_, device) in made.items()}
        return [*devices.values(), *self._gone(devices)]

    def _made(
        self,
        buses: Buses,
        resource: ResourceSettings,
        units: Sequence[Unit],
        common: Collection[str],
        verdicts: Mapping[str, str],
    ) -> Iterator[tuple[str, Made]]:
        key, failed = key_of(resource), self._interest.failed_pci
        questions = {
            f"health {key} {unit.id}": Question(
                unit.id, "health", partial(judged, buses.root, unit, failed)
            )
            for unit in units
        }
        of_name = dict(zip(questions, units, strict=True))
        for name, found, silent in buses.ask(questions):
            unit = of_name[name]
            with self.left_out.alone(unit.id):
                nothing = dict.fromkeys((node.host_path for node in unit.nodes), Seen())
                at_nodes, problem = found or ({}, "")
                seen = {**nothing, **at_nodes}
                sight = Sight(resource, unit, values_of(unit), seen)
                reason = silent or problem or verdicts.get(unit.id, "")
                yield (
                    unit.id,
                    (sight, device_of(sight, reason, of_unit(resource, unit, common, seen))),
                )

    def _without_others(
        self,
        eye: Eye,
        resource: ResourceSettings,
        units: Sequence[Unit],
        made: Mapping[str, Made],
    ) -> list[Unit]:
        """Return the units that are not another resource's, which has other parts of them."""
        for unit in (each for each in units if each.id in made):
            owner = made[unit.id][0].resource.name
            self._report(unit.id, resource.name, owner)
            eye.lost.append(Lost(unit.id, resource.name, f"is served by {owner}"))
        return [unit for unit in units if unit.id not in made]

    def _tell_lost(self, lost: Sequence[Lost]) -> None:
        """Log what is refused now and was not before."""
        new = [each for each in lost if each.refused and each not in self.lost]
        if new:
            facts = {"count": len(new), "some": [each._asdict() for each in new[:_LOGGED]]}
            _log.warning("links refused", extra={"nodeplug": facts})

    def _report(self, device_id: str, resource: str, owner: str) -> None:
        """Log once that two resources want different parts of one device."""
        if (device_id, resource) not in self._reported:
            self._reported.add((device_id, resource))
            facts = {"device": device_id, "resource": resource, "served_as": owner}
            _log.warning("device is another resource's already", extra={"nodeplug": facts})

    def _remember(self, resource: ResourceSettings, made: Mapping[str, Made]) -> None:
        seen = self._memory.seen[_key(resource)]
        own = ((name, each) for name, each in made.items() if each[1].resource == resource.name)
        seen.update((name, device) for name, (sight, device) in own if sight.unit.known)
        for device_id in [*seen][:-_GONE_LIMIT]:
            del seen[device_id]

    def _gone(self, present: Mapping[str, Device]) -> list[Device]:
        return [
            Device(
                id=device_id,
                resource=device.resource,
                health=Health.UNHEALTHY,
                reason=self.left_out.get(device_id, "not present"),
                numa_nodes=device.numa_nodes,
                attributes=device.attributes,
            )
            for seen in self._memory.seen.values()
            for device_id, device in seen.items()
            if device_id not in present
        ]


def _key(resource: ResourceSettings) -> bytes:
    return msgspec.json.encode(resource)
