"""Whether the process is alive, and whether it does its work: each with why not."""

from collections.abc import Iterator, Sequence

from nodeplug.operations.http import Answer
from nodeplug.operations.view import View
from nodeplug.supervisor.report import ResourceReport
from nodeplug.supervisor.troubles import STANDBY
from nodeplug.values.trouble import Trouble

# The watch looks every 2 s, come what may.
_STALE_SECONDS = 30.0
_LINES_LIMIT = 100


class Probes:
    """The pages for the kubelet's probes."""

    def __init__(self, view: View) -> None:
        self._view = view

    def healthz(self) -> Answer:
        """Answer 200 while the agent's own parts turn: a restart would help nothing else."""
        stale = self._view.agent().stale
        if stale > _STALE_SECONDS:
            shown = f"nobody has looked for the kubelet for {stale:.0f} s"
            return _answer([Trouble("Stuck", shown, blocks=True)])
        return _answer([])

    async def readyz(self) -> Answer:
        """Answer 200 if every resource is registered, is being listened to, and answers.

        Anybody may read what is said, so it holds no value of the configuration.
        """
        return _answer(await self.troubles())

    async def troubles(self) -> list[Trouble]:
        """Return all that is not as it should be, first what makes the agent not ready."""
        report = self._view.agent()
        found = [*self._view.configuration().troubles, *report.troubles]
        if report.kubelet_present:
            sockets = {each.socket for each in report.resources}
            answers = await self._view.prober.troubles(sockets)
            for each in report.resources:
                found += _troubles(each, answers[each.socket])
        return sorted(found, key=lambda each: not each.blocks)


def _troubles(resource: ResourceReport, own: str) -> Iterator[Trouble]:
    name = resource.pool.resource
    if resource.holder:
        shown = f"{name}: another agent serves it"
        yield Trouble("ServedElsewhere", shown, f"{shown}: {resource.holder}", name, blocks=True)
        return
    if not resource.registered:
        shown = f"{name}: not registered"
        detail = f"{shown}: {resource.error}" if resource.error else ""
        yield Trouble("NotRegistered", shown, detail, name, blocks=True)
    elif not resource.streams:
        yield Trouble("NotListening", f"{name}: the kubelet does not listen", "", name, blocks=True)
    if own:
        shown = f"{name}: its own socket does not answer"
        yield Trouble("SocketSilent", shown, f"{shown}: {own}", name, blocks=True)


def _answer(troubles: Sequence[Trouble]) -> Answer:
    told = [
        each.shown if each.blocks or each.kind == STANDBY else f"degraded: {each.shown}"
        for each in troubles
    ]
    lines = told[:_LINES_LIMIT]
    if more := len(told) - len(lines):
        lines.append(f"and {more} more")
    text = "\n".join(lines) or "ok"
    status = 503 if any(each.blocks for each in troubles) else 200
    return Answer(status, f"{text}\n".encode(errors="backslashreplace"))
