"""A stage whose agent is watched over HTTP, as Prometheus and the kubelet's probes would."""

import asyncio
import random
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from prometheus_client.parser import text_string_to_metric_families

from nodeplug.config.settings import MetricsSettings
from nodeplug.operations.observatory import Observatory
from nodeplug.operations.view import View
from nodeplug.supervisor.reload import ReloadReport
from nodeplug.testing.patience import patience
from support.stage import Stage


def free_port() -> int:
    """Return a port that nobody has, and that the kernel gives to nobody by itself."""
    for port in random.sample(range(12_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError


async def exchange(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()


class Watch:
    def __init__(self, port: int) -> None:
        self.port = port
        self.reload = ReloadReport((), 0)

    async def open(self, seconds: float = 5) -> None:
        """Wait until somebody listens."""
        async with patience(seconds):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except ConnectionRefusedError:
                    await asyncio.sleep(0.005)
                else:
                    writer.close()
                    return

    async def get(self, path: str) -> tuple[int, str]:
        head, _, body = (
            await exchange(self.port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        ).partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()

    async def until(self, path: str, status: int, text: str = "") -> None:
        """Wait until a page answers so and says so."""
        async with patience(8):
            # A page tells nobody of its news.
            while (answer := await self.get(path))[0] != status or text not in answer[1]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def samples(self) -> dict[str, float]:
        """Return all samples, by name and labels as in the text."""
        _, text = await self.get("/metrics")
        return {
            _shown(sample.name, sample.labels): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@asynccontextmanager
async def watched(play: Stage, stands: float = 0, **settings: bool) -> AsyncGenerator[Watch, None]:
    watch = Watch(free_port())
    view = View(play.agent.report, lambda: watch.reload, play.pod_resources)
    options = MetricsSettings(address="127.0.0.1", **settings)
    task = asyncio.create_task(Observatory(view, options, stands).run(watch.port))
    try:
        await watch.open()
        yield watch
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _shown(name: str, labels: dict[str, str]) -> str:
    return f"{name}{{{','.join(f'{k}={v}' for k, v in labels.items())}}}" if labels else name
