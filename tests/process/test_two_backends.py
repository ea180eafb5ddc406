"""Two backends in one agent: neither takes what is the other's."""

import dataclasses

from nodeplug.testing import Pod
from support.awkward.backend import SPEC
from support.stage import BOARD, SLICE, stage


async def test_a_resource_or_an_id_of_two_backends_belongs_to_the_first() -> None:
    """R14, R23: a name is served once, an id stands for one device on the node."""
    twin = dataclasses.replace(SPEC, name="twin")
    async with stage(agents=0) as play:
        play.start_agent(SPEC, twin)
        await play.listed(allocatable=4)
        await play.listed(SLICE, allocatable=8)
        await play.kubelet.admit(Pod.of({BOARD: 4}))
        assert len(play.kubelet.journal.of("register")) == 2
