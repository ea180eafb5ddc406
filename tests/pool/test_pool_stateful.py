"""Whatever happens in whatever order, no device in use leaves the list or is given away twice."""

import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nodeplug.holdings import Holdings, Key, Listing, Record, hold
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.translate import encode_listed
from nodeplug.offers import Offer, OfferedDevice
from nodeplug.pool import ResourcePool
from nodeplug.values.device import Device, Health

IDS = [f"d{number}" for number in range(5)]
RESOURCES = ("example.com/a", "example.com/b")
# Which resource a device belongs to, or none, and whether it is sound.
truths = st.dictionaries(st.sampled_from(IDS), st.tuples(st.sampled_from(RESOURCES), st.booleans()))


class Pools(RuleBasedStateMachine):
    """Two resources, and a kubelet that takes what it is shown as Healthy."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(hold, "WRITE_SECONDS", 0.0)
        self.holdings = Holdings()
        self.pools = {name: ResourcePool(name, self.holdings, encode_listed) for name in RESOURCES}
        self.truth: dict[str, tuple[str, bool]] = {}
        self.held: set[Key] = set()
        # What could not be given, and whether it is certain whose fault that was.
        self.suspects: dict[Key, bool] = {}
        self.calm = False

    def teardown(self) -> None:
        self.patch.undo()

    @rule(truth=truths)
    def hardware_changes(self, truth: dict[str, tuple[str, bool]]) -> None:
        """Devices come, go, fall sick, recover and move to the other resource."""
        self.suspects = {
            (name, i): certain
            for (name, i), certain in self.suspects.items()
            if not certain and truth.get(i) == self.truth.get(i)
        }
        self.truth, self.calm = truth, False
        for name, pool in self.pools.items():
            devices = [
                _device(i, name, sound=sound) for i, (n, sound) in truth.items() if n == name
            ]
            pool.replace(Offer(name, tuple(OfferedDevice(d.id, d) for d in devices)))
        self._refresh()

    @precondition(lambda self: self._free())
    @rule(dice=st.randoms(use_true_random=False))
    def container_starts(self, dice: object) -> None:
        """Take any device that is Healthy and free in its resource, as a kubelet would."""
        key = dice.choice(sorted(self._free()))  # type: ignore[attr-defined]
        with self.holdings.allocating(key[0], [key[1]]):
            self.pools[key[0]].resolve([key[1]])
        assert not [k for k in self.held if k[1] == key[1]], "a device in use is given away"
        self.held.add(key)
        self.calm = False

    @precondition(lambda self: self._free())
    @rule(dice=st.randoms(use_true_random=False), certain=st.booleans())
    def allocation_fails(self, dice: object, *, certain: bool) -> None:
        """Fail one: it stays free, and is given to nobody."""
        key = dice.choice(sorted(self._free()))  # type: ignore[attr-defined]
        self.pools[key[0]].suspect({key[1]}, "allocation failed", 3600, certain=certain)
        self.suspects[key] = certain
        self.calm = False

    @precondition(lambda self: self.held)
    @rule(dice=st.randoms(use_true_random=False))
    def container_ends(self, dice: object) -> None:
        """Nobody tells us (R46)."""
        self.held.remove(dice.choice(sorted(self.held)))  # type: ignore[attr-defined]
        self.calm = False

    @rule()
    def kubelet_is_asked(self) -> None:
        """And says what is true."""
        held = dict.fromkeys(self.held, (0,))
        records = dict.fromkeys(self.held, Record((0,)))
        for _ in range(2):
            now = time.monotonic()
            self.holdings.observe(Listing(now, held, records, written=now))
            for pool in self.pools.values():
                pool.recheck()
        self.calm = True

    def _refresh(self) -> None:
        for pool in self.pools.values():
            pool.refresh()

    def _free(self) -> set[Key]:
        return {
            (name, listed.id)
            for name, pool in self.pools.items()
            for listed in pool.snapshot.devices
            if listed.health is Health.HEALTHY and (name, listed.id) not in self.held
        }

    @invariant()
    def what_is_in_use_is_listed(self) -> None:
        """R33: the kubelet would crash."""
        for name, device_id in self.held:
            assert device_id in {listed.id for listed in self.pools[name].snapshot.devices}

    @invariant()
    def only_what_is_sound_is_healthy(self) -> None:
        """And under its own resource."""
        for name, pool in self.pools.items():
            for listed in pool.snapshot.devices:
                if listed.health is Health.HEALTHY:
                    assert self.truth[listed.id] == (name, True)

    @invariant()
    def the_payload_is_the_list(self) -> None:
        """In order of id, each once."""
        for pool in self.pools.values():
            decoded = api.ListAndWatchResponse.FromString(pool.snapshot.payload).devices
            ids = [device.ID for device in decoded]
            assert ids == sorted({listed.id for listed in pool.snapshot.devices})

    @invariant()
    def once_the_kubelet_was_asked_the_list_is_exact(self) -> None:
        """Nothing sound is kept back, nothing that is free and gone is kept on."""
        if not self.calm:
            return
        for name, pool in self.pools.items():
            own = {i for i, (native, _) in self.truth.items() if native == name}
            held = {i for n, i in self.held if n == name}
            elsewhere = {i for n, i in self.held if n != name}
            assert {listed.id for listed in pool.snapshot.devices} == own | held
            healthy = {d.id for d in pool.snapshot.devices if d.health is Health.HEALTHY}
            suspects = {i for n, i in self.suspects if n == name}
            assert healthy == {i for i in own if self.truth[i][1]} - elsewhere - suspects


def _device(device_id: str, resource: str, *, sound: bool) -> Device:
    if sound:
        return Device(id=device_id, resource=resource)
    return Device(id=device_id, resource=resource, health=Health.UNHEALTHY, reason="sick")


TestPools = Pools.TestCase
TestPools.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
