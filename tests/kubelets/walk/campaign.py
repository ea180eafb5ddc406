"""Walks of many steps, in stretches that each begin with a new node."""

import random
import re
from dataclasses import dataclass

from kubelets.walk.plan import Plan
from kubelets.walk.steps import Step
from kubelets.walk.twin import DifferenceError, Twin
from nodeplug.testing import Profile, Topology

# Steps on one node, before another begins.
STRETCH = 150
_POLICIES = ("none", "none", "best-effort", "restricted", "single-numa-node")


@dataclass(frozen=True, slots=True)
class Walk:
    """So many steps with a version, the same ones for a seed."""

    version: str
    steps: int
    seed: int

    async def run(self) -> int:
        """Take all steps and return how many; raise DifferenceError with those that led there."""
        taken = 0
        stretches = random.Random(self.seed)
        while taken < self.steps:
            seed, policy = stretches.getrandbits(32), stretches.choice(_POLICIES)
            taken += await self._stretch(seed, policy, min(STRETCH, self.steps - taken))
        return taken

    async def _stretch(self, seed: int, policy: str, steps: int) -> int:
        twin = Twin(self.version, Profile(self.version), Topology(policy=policy))  # type: ignore[arg-type]
        # In 1.36 a pod is looked for by an id alone, and of several any may be found (R70).
        plan = Plan(seed, keep=policy != "none", alike=self.version != "1.36")
        try:
            await twin.open()
            for _ in range(steps):
                step = plan.next(twin.real.tables())
                plan.played(step, await twin.play(step))
        except DifferenceError as error:
            path = "\n".join(f"{n}. {told(step)}" for n, step in enumerate(twin.history, 1))
            text = f"kubelet {self.version}, seed {seed}, policy {policy}:\n{path}\n{error}"
            raise DifferenceError(text) from error
        finally:
            await twin.close()
        return steps


def told(step: Step) -> str:
    """Return a step as text, pods in short."""
    return re.sub(r"Pod\(containers=\((.*?),?\), name=('[\w-]+').*?\)", _short, str(step))


def _short(pod: re.Match[str]) -> str:
    containers = re.sub(
        r"Container\(name='(\w+)', limits=(\{.*?\}), init=\w+, sidecar=(\w+)\)", _container, pod[1]
    )
    return f"{pod[2]} {containers}"


def _container(found: re.Match[str]) -> str:
    return f"{found[1]}{'+' if found[3] == 'True' else ''}{found[2]}"
