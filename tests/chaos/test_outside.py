"""What those outside see of an agent that is a process of its own."""

import random
import resource

import psutil

from chaos.world import world
from support.hostile import crowd, silent


async def test_an_agent_that_is_ended_leaves_a_condition_that_is_unknown() -> None:
    """By SIGTERM, as in a pod; one that is killed cannot."""
    async with world(random.Random(1), outside=True) as play:
        assert play.outside is not None
        conditions = play.outside.server.conditions
        await play.written(lambda: [] if conditions else ["a condition"], 20)
        assert await play.agent.terminate() == 0
        assert conditions[-1]["status"] == "Unknown"
        assert {each["type"] for each in conditions} == {"NodeplugReady"}


async def test_an_agent_without_descriptors_for_clients_is_alive() -> None:
    """Those who do not ask give theirs up."""
    async with world(random.Random(1), outside=True) as play:
        assert play.outside is not None
        await play.outside.watch.open()
        most = psutil.Process(play.agent.pid).num_fds() + 12
        resource.prlimit(play.agent.pid, resource.RLIMIT_NOFILE, (most, most))
        async with crowd(play.outside.watch.port, silent, 60):
            await play.outside.is_alive()
