"""Asking devices, or what serves them, whether they are well."""

import asyncio
import logging
from asyncio.subprocess import DEVNULL
from collections.abc import Callable, Mapping
from contextlib import suppress

from nodeplug_custom.hardware import Sight
from nodeplug_custom.matches import ProbeSettings
from nodeplug_custom.templates import fill

_log = logging.getLogger("nodeplug.custom")
_STATUS_LIMIT = 256


class Probing:
    """Keeps one task for each device with a probe. `verdicts` say why a device is not well.

    `changed` is called whenever a verdict is another one.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.verdicts: dict[str, str] = {}
        self._changed = changed
        self._tasks: dict[str, tuple[ProbeSettings, asyncio.Task[None]]] = {}

    def follow(self, sights: Mapping[str, Sight]) -> None:
        """Probe these devices from now on, and no others."""
        wanted = {
            device_id: sight
            for device_id, sight in sights.items()
            if sight.unit.entry and sight.unit.entry.health.probe
        }
        for device_id in [*self._tasks]:
            sight = wanted.get(device_id)
            probe = sight.unit.entry.health.probe if sight and sight.unit.entry else None
            if probe != self._tasks[device_id][0]:
                self._tasks.pop(device_id)[1].cancel()
                self.verdicts.pop(device_id, None)
        for device_id, sight in wanted.items():
            probe = sight.unit.entry.health.probe if sight.unit.entry else None
            if probe and device_id not in self._tasks:
                task = asyncio.create_task(self._probe(device_id, probe, sight.values))
                self._tasks[device_id] = probe, task

    async def close(self) -> None:
        """End all tasks."""
        tasks = [task for _, task in self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _probe(self, device_id: str, probe: ProbeSettings, values: Mapping[str, str]) -> None:
        failures = successes = 0
        while True:
            reason = await ask(probe, values)
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


async def ask(probe: ProbeSettings, values: Mapping[str, str]) -> str:
    """Return why a probe fails, or empty."""
    try:
        async with asyncio.timeout(probe.timeout_seconds):
            if probe.command:
                return await _run([fill(word, values) for word in probe.command])
            if probe.http:
                return await _get(fill(probe.http, values))
            return await _connect(fill(probe.socket, values))
    except TimeoutError:
        return f"no answer within {probe.timeout_seconds:g} s"
    except OSError as error:
        return error.strerror or type(error).__name__


async def _run(words: list[str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *words, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return f"exit code {code}" if code else ""


async def _get(url: str) -> str:
    place, _, path = url.removeprefix("http://").partition("/")
    host, _, port = place.rpartition(":") if ":" in place else (place, "", "80")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        writer.write(f"GET /{path} HTTP/1.0\r\nHost: {place}\r\n\r\n".encode())
        line = (await reader.readline())[:_STATUS_LIMIT].decode(errors="replace").split()
    finally:
        await _close(writer)
    status = line[1] if len(line) > 1 and line[1].isdigit() else "no answer of HTTP"
    return "" if status.startswith("2") and status.isdigit() else f"status {status}"


async def _connect(path: str) -> str:
    _, writer = await asyncio.open_unix_connection(path)
    await _close(writer)
    return ""


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
