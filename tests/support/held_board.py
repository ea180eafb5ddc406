"""A board that is kept back for the container that has it under another name."""

from nodeplug.offers import OfferRule
from nodeplug.testing import Pod
from support.stage import BOARD, Stage

SHARED = f"{BOARD}.shared"


async def held_board(play: Stage) -> str:
    """Let a pod have a replica of a board that is not shared any more; return the replica."""
    play.rules = [OfferRule(resource=BOARD, replicas=2, mark_shared=True)]
    await play.reload()
    await play.listed(SHARED, allocatable=8)
    await play.kubelet.admit(Pod.of({SHARED: 1}))
    [replica] = play.kubelet.held(SHARED)
    play.rules = []
    await play.reload()
    await play.listed(allocatable=3)
    return replica
