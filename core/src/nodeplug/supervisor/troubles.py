"""What an agent is not doing that it should do, in words."""

from collections.abc import Iterable, Iterator, Mapping

from nodeplug.kubelet.watch import KubeletWatch
from nodeplug.offers import Refusal
from nodeplug.pool import ResourcePool
from nodeplug.supervisor.report import BackendReport, State
from nodeplug.values.trouble import Trouble

STARTING = "BackendStarting"
STANDBY = "Standby"
_KINDS = {State.NEW: STARTING, State.FAILED: "BackendFailed", State.IDLE: "BackendIdle"}


def of_standby(holder: str) -> Trouble:
    """Return that another agent of the installation serves; one that will not hand over blocks."""
    if not holder:
        return Trouble(STANDBY, "standby: the agent that serves does not answer", blocks=True)
    shown = "standby: another agent of this installation serves"
    return Trouble(STANDBY, shown, f"{shown}: {holder}")


def of_kubelet(watch: KubeletWatch) -> Iterator[Trouble]:
    """Yield that there is no kubelet, or that it does not answer."""
    if watch.identity is None and watch.looks:
        yield Trouble("KubeletAbsent", "the kubelet is not there", blocks=True)
    elif watch.trouble:
        shown = "the kubelet does not answer"
        yield Trouble("KubeletAbsent", shown, f"{shown}: {watch.trouble}", blocks=True)


def of_backend(report: BackendReport) -> Iterator[Trouble]:
    """Yield what is wrong with a backend: one from which nothing has come yet blocks."""
    subject = f"backend {report.name}"
    if report.state is not State.FINDS:
        kind = _KINDS[report.state]
        shown, detail = f"{subject}: {report.state.value}", f"{subject}: {report.trouble}"
        yield Trouble(kind, shown, detail, subject, blocks=report.current is None)
    if report.kept:
        shown = f"{subject}: its new settings do not work, the former stay"
        yield Trouble("SettingsKept", shown, f"{shown}: {report.kept}", subject)
    if report.left_out:
        shown = f"{subject}: things of the host are no devices, for something about them is odd"
        why = "; ".join(f"{name}: {text}" for name, text in report.left_out.items())
        yield Trouble("DevicesLeftOut", shown, f"{shown}: {why}", subject)


def of_refusals(backend: str, refusals: Iterable[Refusal]) -> Iterator[Trouble]:
    """Yield the names that a backend's resources do not get."""
    for each in refusals:
        kind, why = "RuleRefused", "a rule for it is refused"
        if each.held:
            kind, why = "NameTaken", "another backend has the name that it should have"
        shown = f"{each.resource} of backend {backend}: {why}"
        yield Trouble(kind, shown, each.detail, each.resource)


def of_clashes(backend: str, devices: Iterable[tuple[str, str]]) -> Iterator[Trouble]:
    """Yield the devices of a backend that are not served, as another one has their ids."""
    for device, owner in devices:
        shown = f"backend {backend}: a device is not served, another backend has its id"
        detail = f"{device} of backend {backend} is not served: backend {owner} has the id"
        yield Trouble("IdTaken", shown, detail, device)


def of_offers(backend: str, error: str) -> Iterator[Trouble]:
    """Yield that something raised when a backend's devices were to be offered, or its files."""
    if error:
        shown = f"backend {backend}: its devices or files could not be updated, the former stay"
        yield Trouble("OffersKept", shown, f"{shown}: {error}", f"backend {backend}")


def of_pool(pool: ResourcePool) -> Iterator[Trouble]:
    """Yield that a list is not the one that it should be."""
    if pool.trouble:
        shown = f"{pool.resource}: its list is too large, the former stays"
        yield Trouble("ListTooLarge", shown, pool.trouble, pool.resource)


def of_evidence(ledger: str, *, silent: bool) -> Iterator[Trouble]:
    """Yield what keeps the agent from knowing, or from telling others, what is in use."""
    if ledger:
        shown = "what is given is not written down for other agents"
        yield Trouble("LedgerNotWritable", shown, f"{shown}: {ledger}", "host.ledgerDir")
    if silent:
        shown = "the kubelet does not say what is in use; what was given is taken to be in use"
        yield Trouble("EvidenceLate", shown, "", "kubelet.podResourcesSocket")


def of_fallbacks(fallbacks: Mapping[str, str]) -> Iterator[Trouble]:
    """Yield what does without something that it should have."""
    for what, lacking in fallbacks.items():
        shown = f"{what}: {lacking.partition(':')[0]}"
        yield Trouble("Fallback", shown, f"{what}: {lacking}", what)
