"""A backend in an agent, before a kubelet's eyes."""

import dataclasses

from nodeplug.offers import OfferRule
from nodeplug.quarantine import QuarantineRule
from nodeplug.supervisor.agent import Rules
from nodeplug.testing.contract.staged import Staged, run
from nodeplug.testing.served import ServedBackend, serve


class ServicePromises(Staged):
    """The agent serves the devices, whatever is configured around them."""

    def test_the_agent_serves_it(self) -> None:
        """Registered, allocated, lost, recovered, with the kubelet's own eyes."""

        async def scenario(play: ServedBackend) -> None:
            before = await play.listed()
            await play.admit(1)
            play.simulator.lose()
            await play.listed(before - 1)
            play.simulator.recover()
            await play.listed(before)

        run(serve(self.spec, {}, scenario))

    def test_its_devices_can_be_shared(self) -> None:
        """Two containers have one device; all replicas of a lost one are told at once."""

        async def scenario(play: ServedBackend) -> None:
            before = await play.listed()
            for _ in range(before):
                await play.admit(1)
            play.simulator.lose()
            await play.listed(before - 2)

        run(serve(self.spec, {"replicas": 2}, scenario))

    def test_its_devices_can_be_renamed(self) -> None:
        """The public name reaches the backend, the devices stay the same."""

        async def scenario(play: ServedBackend) -> None:
            await play.listed()
            await play.admit(2)

        run(serve(self.spec, {"rename": "renamed.example.com/device"}, scenario))

    def test_its_devices_can_be_injected_through_cdi(self) -> None:
        """Every name that a container gets stands in a specification."""

        async def scenario(play: ServedBackend) -> None:
            await play.listed()
            run = await play.admit(2)
            assert run.cdi_devices
            assert set(run.cdi_devices) <= play.specified()

        run(serve(self.spec, {"inject": "cdi"}, scenario))

    def test_its_devices_can_be_quarantined_and_released(self) -> None:
        """While they are served; the others stay on offer."""

        async def scenario(play: ServedBackend) -> None:
            before = await play.listed()
            first = min(play.kubelet.devices(play.resource))
            rule = QuarantineRule(devices={"id": first}, reason="contract")
            await play.agent.apply(Rules(quarantine=[rule]), {})
            await play.listed(before - 1)
            await play.agent.apply(Rules(), {})
            await play.listed(before)

        run(serve(self.spec, {}, scenario))

    def test_rules_change_while_a_container_holds_a_device(self) -> None:
        """The device moves to another resource, and is free there only once it is free."""

        async def scenario(play: ServedBackend) -> None:
            before = await play.listed()
            await play.admit(1)
            rule = OfferRule(resource=play.resource, rename="moved.example.com/device")
            await play.agent.apply(Rules([rule]), {})
            moved = dataclasses.replace(play, resource=rule.public_name)
            await moved.listed(before - 1)

        run(serve(self.spec, {}, scenario))

    def test_every_policy_finds_devices(self) -> None:
        """Whatever the backend tells of places and links."""

        async def scenario(play: ServedBackend) -> None:
            await play.listed()
            await play.admit(2)

        for policy in ("packed", "spread", "aligned"):
            run(serve(self.spec, {"policy": policy}, scenario))
