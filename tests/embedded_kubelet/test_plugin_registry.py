"""How the embedded kubelet finds plugins in its registry directory (R72 to R78)."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from nodeplug.testing import Clock, Kubelet, Profile
from support.found import FoundPlugin

RESOURCE = "example.com/found"


class Scene:
    def __init__(self, folder: Path, **options: Any) -> None:
        self.registry = folder / "registry"
        self.kubelet = Kubelet(folder / "dp", plugin_registry=self.registry, **options)
        self.plugins: list[FoundPlugin] = []

    async def serve(self, socket: str = "a.sock", **info: Any) -> FoundPlugin:
        plugin = self.plugin(socket)
        plugin.info |= info
        plugin.send(d0="Healthy")
        await plugin.start()
        return plugin

    def plugin(self, socket: str = "a.sock") -> FoundPlugin:
        """Return a plugin that is not started."""
        made = FoundPlugin(self.registry, RESOURCE, socket)
        self.plugins.append(made)
        return made

    async def reach(self, allocatable: int) -> None:
        def holds() -> bool:
            capacity = self.kubelet.capacity(RESOURCE)
            return capacity is not None and capacity.allocatable == allocatable

        await self.kubelet.until(holds, 10)


@asynccontextmanager
async def scene(**options: Any) -> AsyncGenerator[Scene, None]:
    with tempfile.TemporaryDirectory(prefix="np", dir="/tmp") as folder:
        play = Scene(Path(folder), **{"clock": Clock(scale=10), **options})
        async with play.kubelet:
            try:
                yield play
            finally:
                for plugin in play.plugins:
                    await plugin.stop()


async def test_a_socket_that_appears_is_registered_and_its_plugin_told() -> None:
    """R74, R75: it is told once, and listed."""
    async with scene() as play:
        plugin = await play.serve()
        await play.reach(1)
        await plugin.until_told()
        assert plugin.told == [(True, "")]
        [event] = play.kubelet.journal.of("register")
        assert event.found == str(play.registry / "a.sock")
        assert event.request is not None
        assert event.request.endpoint == str(play.registry / "a.sock")


async def test_sockets_that_are_there_at_its_start_are_registered() -> None:
    """R72: in sub-directories, too."""
    async with scene() as play:
        await play.kubelet.stop()
        (play.registry / "vendor").mkdir()
        await play.serve("vendor/a.sock")
        await play.kubelet.start()
        await play.reach(1)


async def test_a_directory_that_appears_is_watched() -> None:
    """R72: recursively."""
    async with scene() as play:
        (play.registry / "vendor/deep").mkdir(parents=True)
        await play.serve("vendor/deep/a.sock")
        await play.reach(1)


async def test_a_name_with_a_dot_is_overlooked() -> None:
    """R72: until a link or a rename gives the socket another."""
    async with scene() as play:
        plugin = await play.serve(".a.sock")
        await play.kubelet.clock.sleep(3)
        assert plugin.introduced == []
        (play.registry / "b.sock").hardlink_to(play.registry / ".a.sock")
        await play.reach(1)


async def test_a_socket_that_goes_takes_the_resource_along() -> None:
    """R77: the connection is closed within a second."""
    async with scene() as play:
        await play.serve()
        await play.reach(1)
        (play.registry / "a.sock").unlink()
        await play.reach(0)


async def test_a_lost_stream_is_not_noticed() -> None:
    """R78: until the socket is made anew."""
    async with scene() as play:
        plugin = await play.serve()
        await play.reach(1)
        await play.kubelet.drop_streams(RESOURCE)
        await play.reach(0)
        asked = len(plugin.introduced)
        await play.kubelet.clock.sleep(5)
        assert len(plugin.introduced) == asked
        (play.registry / "again.sock").hardlink_to(play.registry / "a.sock")
        (play.registry / "a.sock").unlink()
        await play.reach(1)


@pytest.mark.parametrize(
    ("profile", "allocatable"), [(Profile.V1_36, 0), (Profile.V1_37, 1)], ids=["1.36", "1.37"]
)
async def test_an_old_socket_that_goes_takes_a_newer_plugin_along(
    profile: Profile, allocatable: int
) -> None:
    """R77: up to 1.36 only the name counts."""
    async with scene(profile=profile) as play:
        old = await play.serve("old.sock")
        await old.until_told()
        new = await play.serve("new.sock")
        await new.until_told()
        (play.registry / "old.sock").unlink()
        await play.kubelet.clock.sleep(3)
        await play.reach(allocatable)


@pytest.mark.parametrize(
    ("info", "error"),
    [
        ({"type": "CSIPlugin"}, "no handler registered for plugin type: CSIPlugin"),
        ({"name": "no-slash"}, 'the ResourceName "no-slash" is invalid'),
        ({"supported_versions": ["v1"]}, "is not among plugin supported versions"),
    ],
)
async def test_a_plugin_that_cannot_be_registered_is_told_why(
    info: dict[str, Any], error: str
) -> None:
    """R75: in words, again and again."""
    async with scene() as play:
        plugin = await play.serve(**info)
        await plugin.until_told(2)
        assert {registered for registered, _ in plugin.told} == {False}
        assert error in plugin.told[0][1]


async def test_a_plugin_that_does_not_take_the_news_is_not_registered() -> None:
    """R75: its failure undoes the registration and loops."""
    async with scene() as play:
        plugin = play.plugin()
        plugin.deaf = True
        plugin.send(d0="Healthy")
        await plugin.start()
        await plugin.until_told(3)
        plugin.deaf = False
        await play.reach(1)


async def test_up_to_1_35_a_plugin_that_does_not_take_the_news_stays_registered() -> None:
    """R75: and it is never told again."""
    async with scene(profile=Profile.V1_35) as play:
        plugin = play.plugin()
        plugin.deaf = True
        plugin.send(d0="Healthy")
        await plugin.start()
        await plugin.until_told()
        await play.reach(1)
        await play.kubelet.clock.sleep(5)
        assert len(plugin.told) == 1


async def test_up_to_1_35_a_plugin_without_options_is_not_tried_again() -> None:
    """R73: until its socket is made anew; other failures are tried again."""
    async with scene(profile=Profile.V1_35) as play:
        play.kubelet.refuse("failed to get device plugin options: no")
        plugin = await play.serve()
        await plugin.until_told()
        await play.kubelet.clock.sleep(5)
        assert [registered for registered, _ in plugin.told] == [False]


async def test_a_plugin_that_does_not_say_who_it_is_is_told_nothing() -> None:
    """R74: within a second, or it has failed; R73: and is asked again later."""
    async with scene() as play:
        plugin = play.plugin()
        plugin.before_info = asyncio.Event().wait
        await plugin.start()
        await plugin.until_introduced(2)
        assert plugin.told == []


async def test_pauses_grow_for_a_path_that_fails_and_a_new_name_has_none() -> None:
    """R73: 500 ms, then twice as long each time."""
    async with scene() as play:
        plugin, times = await play.serve(type="Wrong"), []
        for told in range(1, 6):
            await plugin.until_told(told)
            times.append(play.kubelet.clock.now())
        pauses = [later - sooner for sooner, later in pairwise(times)]
        assert all(pause >= 0.5 * 2**n for n, pause in enumerate(pauses))
        (play.registry / "new.sock").hardlink_to(play.registry / "a.sock")
        await plugin.until_told(6)
        assert play.kubelet.clock.now() - times[-1] < 0.5 * 2**4
