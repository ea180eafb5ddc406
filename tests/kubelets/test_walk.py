"""The embedded kubelet does what the real one does, step by step."""

from collections.abc import Callable

import pytest

from kubelets.versions import VERSIONS, why_not
from kubelets.walk.campaign import Walk
from kubelets.walk.twin import DifferenceError, Twin
from nodeplug.testing import Profile, Topology
from nodeplug.testing.kubelet.admission import Admission
from nodeplug.testing.kubelet.checkpoint import Checkpoint
from nodeplug.testing.kubelet.devices import DeviceTables
from nodeplug.testing.kubelet.known_pods import KnownPods
from support.needs import require

# `make walk` takes 10,000.
STEPS = 1000
PLANTED_STEPS = 500


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(1, 4))
@pytest.mark.parametrize("version", VERSIONS)
async def test_the_embedded_kubelet_differs_in_nothing(version: str, seed: int) -> None:
    """Whatever is proven on it holds on a kubelet."""
    require(not why_not(version), why_not(version))
    assert await Walk(version, STEPS, seed).run() == STEPS


def frees_at_the_end_of_a_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    """R47 broken: nothing of a pod that has ended is left in the way of anybody."""

    def free(self: KnownPods, tables: DeviceTables) -> None:
        tables.free({pod.uid for pod in self.active})

    monkeypatch.setattr(KnownPods, "free", free)


def writes_no_checkpoint_of_allocations(monkeypatch: pytest.MonkeyPatch) -> None:
    """R66 broken: the next list writes them down anyway."""
    monkeypatch.setattr(Admission, "_save", lambda _: None)


def takes_what_is_sick_for_allocatable(monkeypatch: pytest.MonkeyPatch) -> None:
    """R24 broken: the devices of a plugin that has gone stay healthy."""
    monkeypatch.setattr(DeviceTables, "mark_unhealthy", lambda *_: None)


def lets_sidecars_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """R46 broken: what an init container had is never used again."""
    monkeypatch.setattr(Admission, "_pass_on", lambda *_: None)


def forgets_what_the_checkpoint_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """R30 broken: a kubelet that starts knows nothing."""
    monkeypatch.setattr(Checkpoint, "read", lambda *_: DeviceTables())


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "plant",
    [
        frees_at_the_end_of_a_pod,
        writes_no_checkpoint_of_allocations,
        takes_what_is_sick_for_allocatable,
        lets_sidecars_share,
        forgets_what_the_checkpoint_says,
    ],
    ids=lambda plant: plant.__name__,
)
@pytest.mark.parametrize("seed", range(1, 6))
async def test_a_wrong_rule_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within 500 steps, for each of five seeds."""
    version = VERSIONS[-1]
    require(not why_not(version), why_not(version))
    plant(monkeypatch)
    with pytest.raises(DifferenceError):
        await Walk(version, PLANTED_STEPS, seed).run()


async def test_nothing_is_left_of_a_walk_that_is_cut_off() -> None:
    """What ends a test that hangs cancels everything, also what reads the kubelet's output."""
    version = VERSIONS[-1]
    require(not why_not(version), why_not(version))
    twin = Twin(version, Profile(version), Topology())
    await twin.open()
    process = twin.real.kubelet._process
    assert process is not None
    assert process._reading is not None
    process._reading.cancel()
    await twin.close()
    assert not twin.real.folder.exists()
    assert not twin.ours.folder.exists()
