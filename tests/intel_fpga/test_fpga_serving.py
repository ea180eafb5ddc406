"""The backend in an agent, seen by a kubelet."""

import asyncio
import dataclasses
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from nodeplug.host.socket_uevents import send_uevent
from nodeplug.host.uevents import Uevent
from nodeplug.simulate.agent_process import AgentProcess
from nodeplug.testing import Kubelet, Pod, StartError
from nodeplug.testing.patience import patience
from nodeplug_intel_fpga.ids import af_resource
from nodeplug_intel_fpga.layouts import DFL
from nodeplug_intel_fpga.simulated_cards import Card, write
from support.fpga_host import ADDRESS, AF, AFU, INTERFACE, NOBODY, OTHER_AFU, FpgaHost
from support.fpga_programming import RESOURCE, Driver, bitstream, image, section
from support.timed import on_this_machine, timed

OTHER_AF = af_resource(INTERFACE, OTHER_AFU)
OTHER = "0000:e2:00.0"
QUICK = {"pollSeconds": 0.1}


@dataclasses.dataclass
class Node:
    fake: FpgaHost
    agent: AgentProcess
    kubelet: Kubelet

    async def until(self, resource: str, **healths: str) -> None:
        """Wait until a resource has exactly these devices, "port0" for the first one."""
        wanted = {f"fpga-{ADDRESS}-{name}": health for name, health in healths.items()}
        await self.kubelet.until(lambda: self.kubelet.devices(resource) == wanted)

    async def tell(self) -> None:
        """Say, as the kernel does, that something is new about the card."""
        properties = {"PCI_CLASS": "120000"}
        event = Uevent("change", f"/devices/{ADDRESS}", "pci", "", properties)
        await asyncio.to_thread(send_uevent, self.fake.socket, event)


@asynccontextmanager
async def serving(
    settings: Mapping[str, object] | Callable[[FpgaHost], Mapping[str, object]], *afus: str
) -> AsyncIterator[tuple[Node, Card]]:
    """Run an agent on a host with one card."""
    folder = Path(tempfile.mkdtemp(prefix="np", dir="/tmp"))
    try:
        (folder / "host").mkdir()
        fake = FpgaHost(folder / "host")
        card = fake.card(*afus)
        values = dict(settings(fake) if callable(settings) else settings)
        if not fake.cards.nodes:
            values["health"] = {"ignore": ["node"]}
        agent = AgentProcess(folder, {"intel_fpga": values})
        async with Kubelet(agent.plugin_dir, pod_resources=agent.pod_resources) as kubelet:
            await agent.start()
            try:
                yield Node(fake, agent, kubelet), card
            finally:
                await agent.kill()
    finally:
        shutil.rmtree(folder)


async def test_a_card_that_reads_all_ones_is_unhealthy_over_a_restart_and_recovers() -> None:
    """Under its own name all the time: the peer lists it under one made of the ones."""
    async with serving(QUICK) as (node, card):
        await node.until(AF, port0="Healthy")
        state = node.fake.folder / "var/lib/kubelet/device-plugins/.nodeplug/intel_fpga"
        await written(state / "ports.json")
        for port in card.ports:
            port.load(NOBODY)
            write(port.folder / "id", "3\n")
        write(card.interfaces[0], f"{NOBODY}\n")
        await node.until(AF, port0="Unhealthy")
        await node.agent.terminate()
        await node.agent.start()
        await node.kubelet.until(lambda: len(node.kubelet.journal.of("register", AF)) == 2)
        await node.until(AF, port0="Unhealthy")
        write(card.interfaces[0], f"{INTERFACE}\n")
        write(card.ports[0].folder / "id", "0\n")
        card.ports[0].load(AFU)
        await node.until(AF, port0="Healthy")
        assert {each.resource for each in node.kubelet.journal.of("register")} == {AF}


async def test_a_port_reprogrammed_while_held_is_in_no_two_resources() -> None:
    """It is Unhealthy under its new name until the container that has it is gone."""
    async with serving(QUICK, AFU, AFU) as (node, card):
        await node.until(AF, port0="Healthy", port1="Healthy")
        pod = Pod.of({AF: 1})
        await node.kubelet.admit(pod)
        (held,) = node.kubelet.held(AF)
        number = int(held[-1])
        card.ports[number].load(OTHER_AFU)
        await node.until(OTHER_AF, **{f"port{number}": "Unhealthy"})
        assert node.kubelet.devices(AF)[held] == "Unhealthy"
        await node.kubelet.remove(pod)
        await node.kubelet.admit(Pod.of({AF: 1}))
        await node.until(OTHER_AF, **{f"port{number}": "Healthy"})


async def test_a_container_gets_its_port_and_is_told_of_it() -> None:
    """Node and environment."""
    async with serving(QUICK) as (node, _):
        await node.until(AF, port0="Healthy")
        run = (await node.kubelet.admit(Pod.of({AF: 1})))["c0"]
        assert [*run.devices] == ["/dev/dfl-port.0"]
        assert run.envs["FPGA_DFL_PORT_0_AFU"] == AFU


async def test_only_programmed_resources_wait_before_a_container_starts(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The container of such a resource starts with its AFU loaded, at every start."""
    for name, value in driver.environment.items():
        monkeypatch.setenv(name, value)

    def settings(fake: FpgaHost) -> dict[str, object]:
        fake.cards.add(DFL, OTHER, interfaces=["1" * 32], afus={0: AFU})
        return section(fake, bitstream())

    async with serving(settings) as (node, card):
        driver.drive(card)
        await node.until(RESOURCE, port0="Healthy")
        pod = Pod.of({RESOURCE: 1})
        await node.kubelet.admit(pod)
        assert (card.ports[0].folder / "afu_id").read_text() == f"{AFU}\n"
        await node.kubelet.start_container(pod, "c0")
        assert driver.got() == image()
        await node.kubelet.start_container(pod, "c0")
        assert [each.name for each in node.kubelet.active_pods] == [pod.name]
        others = af_resource("1" * 32, AFU)
        assert node.kubelet.options(RESOURCE).pre_start_required
        assert not node.kubelet.options(others).pre_start_required


async def test_a_container_whose_port_is_in_use_does_not_start(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pod says why."""
    for name, value in driver.environment.items():
        monkeypatch.setenv(name, value)
    async with serving(lambda fake: section(fake, bitstream())) as (node, card):
        driver.drive(card)
        (driver.folder / "dfl-port.0.held").touch()
        await node.until(RESOURCE, port0="Healthy")
        pod = Pod.of({RESOURCE: 1})
        await node.kubelet.admit(pod)
        with pytest.raises(StartError, match=r"dfl-port\.0 is in use"):
            await node.kubelet.start_container(pod, "c0")


@timed
async def test_an_event_is_a_new_list_within_fifty_milliseconds() -> None:
    """From the kernel's word to the kubelet; the median, for this machine may be busy."""
    async with serving({"pollSeconds": 3600}) as (node, card):
        await node.until(AF, port0="Healthy")
        seconds = []
        for afu, health in [(NOBODY, "Unhealthy"), (AFU, "Healthy")] * 10:
            await asyncio.sleep(0.02)
            card.ports[0].load(afu)
            started = time.monotonic()
            await node.tell()
            await node.until(AF, port0=health)
            seconds.append(time.monotonic() - started)
        assert statistics.median(seconds) < on_this_machine(0.050)


async def test_an_agent_stays_within_its_memory() -> None:
    """The promise for one backend is 40 MiB; another allowance is for this machine's libraries."""
    async with serving(QUICK, AFU, AFU) as (node, _):
        await node.until(AF, port0="Healthy", port1="Healthy")
        await asyncio.sleep(0.5)
        resident = psutil.Process(node.agent.pid).memory_info().rss / 2**20
        assert resident < 44


async def written(file: Path) -> None:
    async with patience(5):
        while not file.exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
