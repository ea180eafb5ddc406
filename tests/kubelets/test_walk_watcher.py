"""The embedded kubelet finds plugins as the real one does: its reconciler takes a second a look."""

from collections.abc import AsyncGenerator

import pytest

from kubelets.versions import VERSIONS, why_not
from kubelets.walk.plugin import Manners
from kubelets.walk.twin import Twin
from kubelets.walk.watched import FindAgain, Hide, Introduction, Show
from nodeplug.testing import Profile, Topology
from support.needs import require

ALPHA = Introduction("example.com/alpha")
NAMELESS = Introduction("nobody")
UNKNOWN = Introduction("example.com/beta", kind="CSIPlugin")
OLD = Introduction("example.com/beta", versions=("v1alpha", "v1alpha2"))


@pytest.fixture(params=VERSIONS)
async def twin(request: pytest.FixtureRequest) -> AsyncGenerator[Twin, None]:
    version: str = request.param
    require(not why_not(version), why_not(version))
    twin = Twin(version, Profile(version), Topology())
    try:
        await twin.open()
        yield twin
    finally:
        await twin.close()


@pytest.mark.timeout(120)
async def test_a_plugin_is_found_again_and_let_go(twin: Twin) -> None:
    """R72, R77, R80."""
    assert await twin.play_together(Show("one.sock", ALPHA)) == "registered"
    assert await twin.play_together(FindAgain("one.sock")) == "registered"
    await twin.play_together(Hide("one.sock"))


@pytest.mark.timeout(120)
async def test_of_two_plugins_the_socket_that_goes_takes_the_same_one_along(twin: Twin) -> None:
    """R77: the newer one up to 1.36."""
    await twin.play_together(Show("one.sock", ALPHA))
    await twin.play_together(Show("two.sock", ALPHA))
    await twin.play_together(Hide("one.sock"))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("introduction", [NAMELESS, UNKNOWN, OLD], ids=["name", "type", "version"])
async def test_refusals_have_the_same_words(twin: Twin, introduction: Introduction) -> None:
    """R74: what a plugin is told, it may log."""
    assert "RegisterPlugin error" in await twin.play_together(Show("one.sock", introduction))


@pytest.mark.timeout(120)
async def test_a_plugin_without_options_is_refused_alike(twin: Twin) -> None:
    """R73, R76."""
    step = Show("one.sock", ALPHA, Manners(options="error"))
    assert "failed to get device plugin options" in await twin.play_together(step)
