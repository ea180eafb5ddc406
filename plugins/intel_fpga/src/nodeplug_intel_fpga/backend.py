"""The backend for Intel FPGA cards."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from nodeplug.backend import Measurement, Omissions, Quantity
from nodeplug.host.calls import call
from nodeplug.host.host import Host
from nodeplug.values.device import Attribute, Device
from nodeplug.values.edits import NO_EDITS, ContainerEdits
from nodeplug.values.errors import AllocationRefusedError
from nodeplug.values.inventory import Inventory
from nodeplug_intel_fpga.changes import changes
from nodeplug_intel_fpga.look import View, look
from nodeplug_intel_fpga.memory import Memory
from nodeplug_intel_fpga.readings import Reading, readings
from nodeplug_intel_fpga.settings import FpgaSettings, ProgrammedSettings
from nodeplug_intel_fpga.state import State

if TYPE_CHECKING:
    from nodeplug_intel_fpga.shares import Share

_log = logging.getLogger("nodeplug.intel_fpga")

# What answers no sooner than this hangs.
_LOOK_SECONDS: Final = 20.0
_MEASURE_SECONDS: Final = 1.0
_DISK_SECONDS: Final = 2.0
# Core gives up after 25 s, the kubelet after 30 (R55).
_PROGRAM_SECONDS: Final = 24.0


class FpgaBackend:
    """Finds the ports of all cards, at the start, at every event and every few seconds."""

    def __init__(self, settings: FpgaSettings, host: Host, memory: Memory | None) -> None:
        self.memory = memory or Memory()
        self._recall = memory is None
        self._settings = settings
        self._host = host
        self._state = State(host.root, settings.state_dir)
        self._left_out = Omissions()
        self._shares: Mapping[str, Share] = {}
        self._told: Inventory | None = None
        self._requested = asyncio.Event()

    async def inventories(self) -> AsyncGenerator[Inventory, None]:
        """Yield what is there, and again after every change."""
        self._told = None
        pause, errors = self._settings.poll_seconds, self.memory.errors
        async with changes(self._host, self._requested, errors, pause) as told:
            while True:
                view, changed = await call(self._look, timeout=_LOOK_SECONDS)
                self._report(view.left_out)
                if changed is not None:
                    yield changed
                if self._state.lacks(view.known):
                    with suppress(TimeoutError):
                        await self.memory.disk.call(
                            self._state.write, view.known, timeout=_DISK_SECONDS
                        )
                await told.wait()

    async def allocate(self, resource: str, devices: Sequence[Device]) -> ContainerEdits:  # noqa: ARG002 - each device brings its own
        """Add nothing: variables are named by port, so that none is joined."""
        return NO_EDITS

    async def prepare(self, resource: str, devices: Sequence[Device]) -> None:  # noqa: ARG002 - a device knows its resource
        """Program the devices' ports where that is due; a port that is in use stays as it is."""
        entries = {entry.name: entry for entry in self._settings.programming}
        wanted = [(entries[each.resource], each) for each in devices if each.resource in entries]
        until = time.monotonic() + _PROGRAM_SECONDS
        try:
            await call(self._program, wanted, until, timeout=_PROGRAM_SECONDS)
        except TimeoutError as error:
            reason = f"programming did not end within {_PROGRAM_SECONDS:g} s"
            raise AllocationRefusedError(reason) from error
        finally:
            self._requested.set()

    async def measure(self) -> Sequence[Measurement]:
        """Return temperature and power of each device's card."""
        cards = await call(readings, self._host.root, timeout=_MEASURE_SECONDS)
        shares = self._shares.values()
        return [each for share in shares for each in _of(share.first.id, cards, share.first.card)]

    def _look(self) -> tuple[View, Inventory | None]:
        """Return what is there, and how it is told where it is not what was there before."""
        # The look of a backend that was replaced may still be on its way, or hang.
        if not self.memory.looking.acquire(timeout=_LOOK_SECONDS):
            raise TimeoutError("an earlier look at the host hangs")
        try:
            if self._recall:
                self.memory.recall(*self._state.read())
                self._recall = False
            view = look(self._host.root, self._settings, self.memory)
        finally:
            self.memory.looking.release()
        self._shares = view.shares
        if view.inventory == self._told:
            return view, None
        self._told = view.inventory
        return view, _with_readings(view.inventory, readings(self._host.root))

    def _program(self, wanted: Sequence[tuple[ProgrammedSettings, Device]], until: float) -> None:
        from nodeplug_intel_fpga.programming.programmer import load  # noqa: PLC0415 - rare

        for entry, device in wanted:
            share = self._shares.get(device.id)
            if share is None:
                raise AllocationRefusedError(f"{device.id} is not there any more")
            load(self._host.root, [port.facts.key for port in share.ports], entry, until)

    def _report(self, left_out: Omissions) -> None:
        """Log what is no device and was not said to be none before."""
        left_out.tell(_log, self._left_out)
        self._left_out = left_out


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
