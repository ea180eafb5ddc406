"""Metrics and probes of a running agent, and where they are served."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from nodeplug.backend import METRICS_PORT, BackendSpec
from nodeplug.config.settings import MetricsSettings
from nodeplug.host.fallbacks import fall_back, recover
from nodeplug.meters.catalogue import ALL
from nodeplug.meters.family import Family
from nodeplug.operations import per_device, state
from nodeplug.operations.exposition import OPENMETRICS, PROMETHEUS, render
from nodeplug.operations.http import Answer, PageServer
from nodeplug.operations.probes import Probes
from nodeplug.operations.shared import STANDS_SECONDS, Shared
from nodeplug.operations.tally import Tally
from nodeplug.operations.view import View
from nodeplug.supervisor.report import AgentReport

# Whatever has the port may let go of it.
_RETRY_SECONDS = 2.0


def port_of(settings: MetricsSettings, specs: Sequence[BackendSpec]) -> int:
    """Return the port for an agent with these backends."""
    return settings.port or (specs[0].metrics_port if len(specs) == 1 else METRICS_PORT)


class Observatory:
    """Shows an agent to Prometheus and to the kubelet's probes.

    `stands` is for how many seconds a page holds: so much of the agent's time anybody can take.
    """

    def __init__(
        self, view: View, settings: MetricsSettings, stands: float = STANDS_SECONDS
    ) -> None:
        self._view = view
        self._probes = Probes(view)
        self._settings = settings
        self._tally = Tally()
        formats = PROMETHEUS, OPENMETRICS
        self._metrics = {each: Shared(partial(self._rendered, each), stands) for each in formats}
        self._readiness = Shared(self._probes.readyz, stands)

    async def run(self, port: int) -> None:
        """Serve until cancelled, as soon as the port is free."""
        pages = {"/metrics": self._page, "/healthz": self._healthz, "/readyz": self._readyz}
        server = PageServer(pages)
        try:
            while True:
                await self._serve(server, port)
                await asyncio.sleep(_RETRY_SECONDS)
        finally:
            for each in (*self._metrics.values(), self._readiness):
                each.forget()

    async def _serve(self, server: PageServer, port: int) -> None:
        what = f"port {port}"
        try:
            await server.run(self._settings.address, port, partial(recover, what))
        except OSError as error:
            fall_back(what, "metrics cannot be served", str(error))

    async def _page(self, headers: Mapping[str, str]) -> Answer:
        wants_openmetrics = "application/openmetrics-text" in headers.get("accept", "")
        return await self._metrics[OPENMETRICS if wants_openmetrics else PROMETHEUS].get()

    async def _healthz(self, _: Mapping[str, str]) -> Answer:
        return self._probes.healthz()

    async def _readyz(self, _: Mapping[str, str]) -> Answer:
        return await self._readiness.get()

    async def _rendered(self, content_type: str) -> Answer:
        report = self._view.agent()
        families: list[Family] = []
        if self._settings.per_device:
            families = [*per_device.health(report), *await per_device.telemetry(report.backends)]
        if self._settings.pods:
            families.append(await per_device.in_use(report, self._view.pod_resources))
        families += self._families(report)
        return Answer(200, await render(families, content_type), content_type)

    def _families(self, report: AgentReport) -> Iterator[Family]:
        yield from state.families(report, self._tally)
        yield from state.configuration(self._view.configuration(), report)
        yield from state.process()
        for meter in ALL:
            yield meter.family()
