"""The backend for Intel FPGA cards."""

import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from nodeplug.backend import Measurement, Quantity
from nodeplug.host.calls import call
from nodeplug.host.host import Host
from nodeplug.values.device import Attribute, Device
from nodeplug.values.edits import NO_EDITS, ContainerEdits
from nodeplug.values.inventory import Inventory
from nodeplug_intel_fpga.changes import changes
from nodeplug_intel_fpga.look import View, look
from nodeplug_intel_fpga.memory import Memory
from nodeplug_intel_fpga.readings import Reading, readings
from nodeplug_intel_fpga.settings import FpgaSettings
from nodeplug_intel_fpga.state import State

_log = logging.getLogger("nodeplug.intel_fpga")

# What answers no sooner than this hangs.
_LOOK_SECONDS: Final = 20.0
_MEASURE_SECONDS: Final = 1.0
_DISK_SECONDS: Final = 2.0


class FpgaBackend:
    """Finds the ports of all cards, at the start, at every event and every few seconds."""

    def __init__(self, settings: FpgaSettings, host: Host, memory: Memory | None) -> None:
        self.memory = memory or Memory()
        self._recall = memory is None
        self._settings = settings
        self._host = host
        self._state = State(host.root, settings.state_dir)
        self._left_out: Mapping[str, str] = {}
        self._parents: dict[str, str] = {}

    async def inventories(self) -> AsyncGenerator[Inventory, None]:
        """Yield what is there, and again after every change."""
        last = None
        async with changes(
            self._host, self.memory.errors, self._settings.poll_seconds
        ) as self._changes:
            while True:
                view, measured = await call(self._look, timeout=_LOOK_SECONDS)
                self._report(view.left_out)
                if view.inventory != last:
                    last = view.inventory
                    yield _with_readings(view.inventory, measured)
                with suppress(TimeoutError):
                    await call(self._state.write, view.known, timeout=_DISK_SECONDS)
                await self._changes.wait()

    async def allocate(self, resource: str, devices: Sequence[Device]) -> ContainerEdits:  # noqa: ARG002 - each device brings its own
        """Add nothing: variables are named by port, so that none is joined."""
        return NO_EDITS

    async def measure(self) -> Sequence[Measurement]:
        """Return temperature and power of each device's card."""
        cards = await call(readings, self._host.root, timeout=_MEASURE_SECONDS)
        return [each for device, card in self._parents.items() for each in _of(device, cards, card)]

    def _look(self) -> tuple[View, Mapping[str, Reading]]:
        # The look of a backend that was replaced may still be on its way, or hang.
        if not self.memory.looking.acquire(timeout=_LOOK_SECONDS):
            raise TimeoutError("an earlier look at the host hangs")
        try:
            if self._recall:
                known, same_boot = self._state.read()
                self.memory.recall(known, same_boot=same_boot)
                self._recall = False
            view = look(self._host.root, self._settings, self.memory)
        finally:
            self.memory.looking.release()
        self._parents = {each.first.id: each.first.card for each in view.shares.values()}
        return view, readings(self._host.root)

    def _report(self, left_out: Mapping[str, str]) -> None:
        """Log what is no device and was not said to be none before."""
        new = left_out.items() - self._left_out.items()
        self._left_out = left_out
        for name, reason in sorted(new):
            facts = {"name": name, "reason": reason}
            _log.warning("not served", extra={"nodeplug": facts})


def _with_readings(inventory: Inventory, cards: Mapping[str, Reading]) -> Inventory:
    devices = {
        device.id: replace(
            device, attributes={**device.attributes, **_rounded(cards, device.parent)}
        )
        for device in inventory.devices.values()
    }
    return replace(inventory, devices=devices)


def _rounded(cards: Mapping[str, Reading], parent: str) -> dict[str, Attribute]:
    found = cards.get(parent.removeprefix("fpga-"))
    if found is None:
        return {}
    named = {"temperatureCelsius": found.temperature, "powerWatts": found.power}
    return {name: round(value) for name, value in named.items() if value is not None}


def _of(device: str, cards: Mapping[str, Reading], card: str) -> list[Measurement]:
    found = cards.get(card, Reading(None, None))
    named: tuple[tuple[Quantity, float | None], ...] = (
        ("temperature_celsius", found.temperature),
        ("power_watts", found.power),
    )
    return [Measurement(device, name, value) for name, value in named if value is not None]
