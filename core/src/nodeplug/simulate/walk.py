"""The walk through all checks."""

from collections.abc import Mapping
from typing import Protocol

from nodeplug.backend import BackendSpec
from nodeplug.simulate.checks import CHECKS
from nodeplug.simulate.report import Check
from nodeplug.simulate.stage import Stage, open_stage
from nodeplug.testing import AdmissionError

_LOG_LINES = 20


class Audience(Protocol):
    """Whoever is told how the walk goes."""

    def begin(self, name: str) -> None:
        """Hear that a check begins."""

    def end(self, check: Check) -> None:
        """Hear how it went."""


async def walk(specs: Mapping[str, BackendSpec], audience: Audience) -> list[Check]:
    """Walk all checks with these backends; the first broken one ends the walk."""
    checks = [Check(name) for name in CHECKS]
    async with open_stage(specs) as stage:
        for check in checks:
            audience.begin(check.name)
            await _try(stage, check)
            audience.end(check)
            if not check.held:
                break
        violations = [violation.text for violation in stage.kubelet.journal.violations]
        stage.kubelet.journal.violations.clear()
    if violations:
        checks[-1].held = False
        checks[-1].problem = "; ".join(violations)
    return checks


async def _try(stage: Stage, check: Check) -> None:
    try:
        await CHECKS[check.name](stage, check)
    except (AssertionError, AdmissionError, TimeoutError, OSError) as error:
        log = stage.agent.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        check.problem = "\n".join([str(error), "the agent's last log lines:", *log])
    else:
        check.held, check.problem = True, ""
