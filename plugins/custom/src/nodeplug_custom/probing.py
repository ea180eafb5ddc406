"""Asking devices, or what serves them, whether they are well."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from nodeplug_custom.asking import Names, Question
from nodeplug_custom.hardware_devices import Sight
from nodeplug_custom.matches import ProbeSettings

_Asked = tuple[ProbeSettings, Mapping[str, str]]

_log = logging.getLogger("nodeplug.custom")


class Probing:
    """Keeps one task for each device with a probe. `verdicts` say why a device is not well.

    `changed` is called whenever a verdict is another one.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.verdicts: dict[str, str] = {}
        self._changed = changed
        self._names = Names()
        self._tasks: dict[str, tuple[_Asked, asyncio.Task[None]]] = {}

    def follow(self, sights: Mapping[str, Sight]) -> None:
        """Probe these devices from now on, and no others."""
        wanted = {
            device_id: (sight.unit.entry.health.probe, sight.values)
            for device_id, sight in sights.items()
            if sight.unit.entry and sight.unit.entry.health.probe
        }
        for device_id in [*self._tasks]:
            if wanted.get(device_id) != self._tasks[device_id][0]:
                self._tasks.pop(device_id)[1].cancel()
                self.verdicts.pop(device_id, None)
        for device_id, asked in wanted.items():
            if device_id not in self._tasks:
                task = asyncio.create_task(self._probe(device_id, *asked))
                self._tasks[device_id] = asked, task

    async def close(self) -> None:
        """End all tasks."""
        tasks = [task for _, task in self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _probe(self, device_id: str, probe: ProbeSettings, values: Mapping[str, str]) -> None:
        question = Question(probe, values, self._names)
        failures = successes = 0
        while True:
            reason = await question.ask()
            failures, successes = (failures + 1, 0) if reason else (0, successes + 1)
            if failures >= probe.failures:
                self._judge(device_id, f"probe failed: {reason}")
            elif successes >= probe.successes:
                self._judge(device_id, "")
            await asyncio.sleep(probe.interval_seconds)

    def _judge(self, device_id: str, verdict: str) -> None:
        before = self.verdicts.get(device_id, "")
        if bool(before) != bool(verdict):
            self.verdicts[device_id] = verdict
            facts = {"device": device_id, "verdict": verdict or "well"}
            _log.info("probe changed its verdict", extra={"nodeplug": facts})
            self._changed()
