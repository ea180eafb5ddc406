"""What becomes of each port, for `nodeplug devices --explain`."""

from collections.abc import Sequence
from math import inf

from nodeplug.backend import Verdict
from nodeplug.host.calls import call
from nodeplug.host.host import Host
from nodeplug.host.root import HostRoot
from nodeplug_intel_fpga.look import View, first_look
from nodeplug_intel_fpga.settings import FpgaSettings
from nodeplug_intel_fpga.shares import Share
from nodeplug_intel_fpga.strangers import has_driver, strangers


async def explain(settings: FpgaSettings, host: Host) -> Sequence[Verdict]:
    """Return a verdict for each port that a driver shows, and for what else was found."""
    return await call(_explained, settings, host.root, timeout=inf)


def _explained(settings: FpgaSettings, root: HostRoot) -> list[Verdict]:
    view = first_look(root, settings)
    cards = {share.first.card for share in view.shares.values()}
    unbound = [
        Verdict(f"PCI function {each.address}", "", False, has_driver(each))
        for each in strangers(root)
        if each.address not in cards
    ]
    return verdicts(view) + unbound


def verdicts(view: View) -> list[Verdict]:
    """Return the verdicts."""
    served = [
        Verdict(device.id, device.resource, True, _how(view.shares[device.id], device.reason))
        for device in view.inventory.devices.values()
    ]
    left_out = [Verdict(name, "", False, reason) for name, reason in sorted(view.left_out.items())]
    return served + left_out


def _how(share: Share, reason: str) -> str:
    names = ", ".join(port.facts.name for port in share.ports)
    engine = " and the engine" if share.engine_node else ""
    how = f"{names}{engine} of card {share.first.card}, as {share.kind}"
    return f"{how}; unhealthy: {reason}" if reason else how
