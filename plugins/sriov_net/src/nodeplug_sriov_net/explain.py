"""What becomes of each function of the host, and why: `nodeplug devices --explain`."""

from collections.abc import Iterator, Sequence
from math import inf

from nodeplug.backend import Verdict
from nodeplug.host.calls import call
from nodeplug.host.host import Host
from nodeplug_sriov_net.candidates import Candidate
from nodeplug_sriov_net.listening import listen
from nodeplug_sriov_net.memory import Memory
from nodeplug_sriov_net.pools import UPLINK, Member, Pools
from nodeplug_sriov_net.settings import SriovNetSettings
from nodeplug_sriov_net.survey import Survey
from nodeplug_sriov_net.view import Viewer


async def explain(settings: SriovNetSettings, host: Host) -> Sequence[Verdict]:
    """Return a verdict for each device and each pool that it was held against."""
    async with listen(host.root, settings, lambda _: None) as ears:
        survey = Survey(host.root)
        survey.hears_links = ears.hears_links
        functions = await call(survey.look, timeout=inf)
        heard = await ears.hear(functions.values())
    pools, memory = Pools(settings), Memory(host.identities)
    viewer = Viewer(host.root, pools, memory)
    found = viewer.candidates(functions, heard)
    odd = survey.left_out | viewer.left_out
    return [
        *(verdict for each in found for verdict in _verdicts(each, pools, memory)),
        *(Verdict(name, "", chosen=False, reason=reason) for name, reason in odd.items()),
    ]


def _verdicts(device: Candidate, pools: Pools, memory: Memory) -> Iterator[Verdict]:
    if reason := pools.exclusion(device):
        yield Verdict(device.id, "", chosen=False, reason=reason)
        return
    member = pools.member(device, memory)
    tried = False
    for pool, refusal in pools.refusals(device):
        tried = True
        if member is None or refusal:
            yield Verdict(device.id, pool, chosen=False, reason=refusal)
        elif pool == member.pool.name:
            yield Verdict(device.id, pool, chosen=True, reason=_chosen(member))
        else:
            reason = f"{member.pool.name} comes first and selects it too"
            yield Verdict(device.id, pool, chosen=False, reason=reason)
    if not tried:
        yield Verdict(device.id, "", chosen=False, reason="no pool is configured")


def _chosen(member: Member) -> str:
    number = member.pool.selectors.index(member.selector)
    keys = ", ".join(member.selector.given_keys()) or "everything"
    parts = [f"selectors[{number}]: {keys}", member.reason]
    if member.device.uplink:
        parts.append(f"it {UPLINK}, which serveUplinks allows")
    return "; ".join(filter(None, parts))
