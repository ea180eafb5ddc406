"""What becomes of a node's resources when its kubelet starts without a memory."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nodeplug.testing import Capacity, Clock
from support.scripted import RESOURCE, Scene, scene

H, U = "Healthy", "Unhealthy"


@asynccontextmanager
async def stopped() -> AsyncGenerator[Scene]:
    """Stop a kubelet that has written one healthy device of two into its node's status."""
    async with scene(clock=Clock(scale=0.01)) as play:
        await play.serve(a=H, b=U)
        play.kubelet.clock.advance(10)
        await play.kubelet.until(lambda: play.kubelet.node_status(RESOURCE) == Capacity(2, 1))
        await play.plugin.stop()
        await play.kubelet.stop()
        yield play


def empty(directory: Path, but: Iterable[str] = ()) -> None:
    for entry in directory.iterdir():
        entry.unlink()
    for name in but:
        (directory / name).touch()


@pytest.mark.parametrize("left", [(), (".hidden",)])
async def test_an_empty_directory_zeroes_the_node_s_resources(left: tuple[str, ...]) -> None:
    """R31: as after a node was made anew; names with a dot do not count."""
    async with stopped() as play:
        empty(play.directory, left)
        await play.kubelet.start()
        assert play.kubelet.node_status(RESOURCE) == Capacity(0, 0)


async def test_any_file_in_the_directory_keeps_a_node_s_capacity() -> None:
    """R31: of a resource nobody knows any more, and all of it is allocatable."""
    async with stopped() as play:
        empty(play.directory, ["somebody"])
        await play.kubelet.start()
        assert play.kubelet.capacity(RESOURCE) == Capacity(2, 2)


async def test_a_known_resource_has_nothing_until_its_plugin_is_back() -> None:
    """R30: that is what the checkpoint is for."""
    async with stopped() as play:
        await play.kubelet.start()
        assert play.kubelet.capacity(RESOURCE) == Capacity(0, 0)
