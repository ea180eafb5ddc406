"""Whether the process is alive, and whether it does its work: each with why not."""

from collections.abc import Iterator, Sequence

from nodeplug.operations.http import Answer
from nodeplug.operations.view import View
from nodeplug.supervisor.report import ResourceReport

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
            return _answer([f"nobody has looked for the kubelet for {stale:.0f} s"])
        return _answer([])

    async def readyz(self) -> Answer:
        """Answer 200 if every resource is registered, is being listened to, and answers."""
        return _answer(await self.troubles())

    async def troubles(self) -> list[str]:
        """Return why the agent is not ready, one line each.

        Anybody may be shown it: what a backend failed with, and values, stand in the log.
        """
        report = self._view.agent()
        found = [f"configuration: {line}" for line in self._view.configuration().problems]
        failing = {each.name: each.trouble for each in report.backends if each.trouble}
        found += [f"backend {name}: {why.partition(':')[0]}" for name, why in failing.items()]
        if not report.kubelet_present:
            return [*found, "the kubelet is not there"]
        answers = await self._view.prober.troubles({each.socket for each in report.resources})
        for each in report.resources:
            lines = _troubles(each, answers[each.socket])
            found += [f"{each.pool.resource}: {line}" for line in lines]
        return found


def _troubles(resource: ResourceReport, own: str) -> Iterator[str]:
    if not resource.registered:
        yield f"not registered{f': {resource.error}' if resource.error else ''}"
    elif not resource.streams:
        yield "the kubelet does not listen"
    if own:
        yield f"its own socket does not answer: {own}"


def _answer(troubles: Sequence[str]) -> Answer:
    lines = list(troubles[:_LINES_LIMIT])
    if more := len(troubles) - len(lines):
        lines.append(f"and {more} more")
    text = "\n".join(lines) or "ok"
    return Answer(503 if troubles else 200, f"{text}\n".encode(errors="backslashreplace"))
