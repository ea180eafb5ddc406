"""The backend for Intel FPGA cards."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Final

from nodeplug.backend import Measurement, Omissions, Quantity
from nodeplug.host.calls import call
from nodeplug.host.host import Host
from nodeplug.host.reads import Silence
from nodeplug.values.device import Attribute, Device
from nodeplug.values.edits import NO_EDITS, ContainerEdits
from nodeplug.values.errors import AllocationRefusedError
from nodeplug.values.inventory import Inventory
from nodeplug_intel_fpga.changes import changes
from nodeplug_intel_fpga.facts import PortFacts
from nodeplug_intel_fpga.gauges import NO_GAUGES, Gauges, gauges
from nodeplug_intel_fpga.look import View, look
from nodeplug_intel_fpga.memory import Memory
from nodeplug_intel_fpga.settings import FpgaSettings, ProgrammedSettings
from nodeplug_intel_fpga.state import State
from nodeplug_intel_fpga.troubles import PASSING_SECONDS, Troubles

if TYPE_CHECKING:
    from nodeplug_intel_fpga.shares import Share

_log = logging.getLogger("nodeplug.intel_fpga")

# What answers no sooner than this hangs.
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
        self._troubles = Troubles()
        self._shares: Mapping[str, Share] = {}
        self._told: Inventory | None = None
        self._requested = asyncio.Event()

    async def inventories(self) -> AsyncGenerator[Inventory, None]:
        """Yield what is there, and again after every change."""
        self._told = None
        await self._remember()
        async with changes(self._host, self._requested, self._settings.poll_seconds) as told:
            silence = Silence(self.memory.reads, "intel_fpga ", self._requested.set)
            try:
                while True:
                    view, changed = await call(self._look, timeout=inf)
                    silence.tell()
                    self._report(view.left_out)
                    if changed is not None:
                        yield changed
                    if self._state.lacks(view.known):
                        await self._write(view.known)
                    await told.wait()
            finally:
                silence.close()

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
        cards = await self.memory.measuring.call(
            gauges, self._host.root, self.memory.gauges, timeout=_MEASURE_SECONDS
        )
        shares = self._shares.values()
        return [each for share in shares for each in _of(share.first.id, cards, share.first.card)]

    def _look(self) -> tuple[View, Inventory | None]:
        """Return what is there, and how it is told where it is not what was there before."""
        with self.memory.looking:  # the look of a backend that was replaced may be on its way
            view = look(self._host.root, self._settings, self.memory)
        self._shares = view.shares
        if view.inventory == self._told:
            return view, None
        self._told = view.inventory
        return view, _with_gauges(view.inventory, view.gauges)

    def _program(self, wanted: Sequence[tuple[ProgrammedSettings, Device]], until: float) -> None:
        from nodeplug_intel_fpga.programming.programmer import load  # noqa: PLC0415 - rare

        for entry, device in wanted:
            share = self._shares.get(device.id)
            if share is None:
                raise AllocationRefusedError(f"{device.id} is not there any more")
            load(self._host.root, [port.facts.key for port in share.ports], entry, until)

    def _report(self, left_out: Omissions) -> None:
        """Log what is no device and was not said to be none before."""
        if self._troubles.tell(_log, left_out):
            asyncio.get_running_loop().call_later(PASSING_SECONDS, self._requested.set)

    async def _remember(self) -> None:
        """Recall what an agent before this one wrote down, if the disk answers."""
        if self._recall:
            with suppress(TimeoutError):
                kept = await self.memory.disk.call(self._state.read, timeout=_DISK_SECONDS)
                self.memory.recall(*kept)
            self._recall = False

    async def _write(self, known: Mapping[str, PortFacts]) -> None:
        with suppress(TimeoutError):
            await self.memory.disk.call(self._state.write, known, timeout=_DISK_SECONDS)


def _with_gauges(inventory: Inventory, cards: Mapping[str, Gauges]) -> Inventory:
    devices = {
        device.id: replace(
            device, attributes={**device.attributes, **_rounded(cards, device.parent)}
        )
        for device in inventory.devices.values()
    }
    return replace(inventory, devices=devices)


def _rounded(cards: Mapping[str, Gauges], parent: str) -> dict[str, Attribute]:
    found = cards.get(parent.removeprefix("fpga-"))
    if found is None:
        return {}
    named = {"temperatureCelsius": found.temperature, "powerWatts": found.power}
    return {name: round(value) for name, value in named.items() if value is not None}


def _of(device: str, cards: Mapping[str, Gauges], card: str) -> list[Measurement]:
    found = cards.get(card, NO_GAUGES)
    named: tuple[tuple[Quantity, float | None], ...] = (
        ("temperature_celsius", found.temperature),
        ("power_watts", found.power),
    )
    return [Measurement(device, name, value) for name, value in named if value is not None]
