"""A file that changes while the agent runs."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest
import yaml

from nodeplug.allocation import BackendHandle
from nodeplug.cli.options import USAGE
from nodeplug.config.load import Configuration
from nodeplug.config.settings import AgentSettings
from nodeplug.host.files import stamp
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug.offers import OfferRule
from nodeplug.simulate.agent_process import AgentProcess
from nodeplug.supervisor.reload import Reloader
from nodeplug.testing import Kubelet
from nodeplug.testing.patience import patience
from nodeplug.values.device import Device, Health
from nodeplug.values.inventory import Inventory
from support.awkward.backend import AwkwardSimulator
from support.command import environment, log_lines
from support.packages import install
from support.stage import BOARD, SLICE, stage
from support.timed import timed

AWKWARD = "from support.awkward.backend import nodeplug_backend\n"
OTHER = "other.example.com/board"
CHANGES = 100


class ConfigMap:
    """A folder as the kubelet mounts a ConfigMap: `..data` is exchanged, files are links."""

    def __init__(self, folder: Path, name: str) -> None:
        self.file = folder / name
        self._folder = folder
        self._number = 0
        self.file.symlink_to(f"..data/{name}")

    def write(self, text: str) -> None:
        self._number += 1
        version = self._folder / f"..v{self._number}"
        version.mkdir()
        (version / self.file.name).write_text(text)
        link = self._folder / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self._folder / "..data")


class PlainFile:
    """A file that is written in place, as by a redirection or some editors."""

    def __init__(self, folder: Path, name: str) -> None:
        self.file = folder / name

    def write(self, text: str) -> None:
        self.file.write_text(text)


class Play:
    def __init__(
        self, agent: AgentProcess, kubelet: Kubelet, config: ConfigMap | PlainFile
    ) -> None:
        self.agent = agent
        self.kubelet = kubelet
        self._config = config
        self._base = yaml.safe_load(agent.config.read_text())

    def write(self, **keys: object) -> None:
        self._config.write(yaml.safe_dump(self._base | keys))

    def write_text(self, text: str) -> None:
        self._config.write(text)

    async def listed(self, resource: str, count: int) -> None:
        def holds() -> bool:
            capacity = self.kubelet.capacity(resource)
            return capacity is not None and capacity.allocatable == count

        await self.kubelet.until(holds)

    async def logged(self, event: str, times: int = 1) -> dict[str, object]:
        async with patience(10):
            while True:
                lines = log_lines(self.agent.log.read_text())
                found = [line for line in lines if line["event"] == event]
                if len(found) >= times:
                    return found[-1]
                await asyncio.sleep(0.05)


@asynccontextmanager
async def play(
    monkeypatch: pytest.MonkeyPatch, kind: type[ConfigMap | PlainFile] = ConfigMap
) -> AsyncGenerator[Play, None]:
    folder = Path(tempfile.mkdtemp(prefix="np", dir="/tmp"))
    for name in ("site", "config"):
        (folder / name).mkdir()
    install(folder / "site", "awkward", AWKWARD)
    monkeypatch.setenv("PYTHONPATH", environment(folder / "site")["PYTHONPATH"])
    agent = AgentProcess(folder, {"awkward": {}})
    AwkwardSimulator(agent.host_root)
    config = kind(folder / "config", "nodeplug.yaml")
    try:
        async with Kubelet(agent.plugin_dir, pod_resources=agent.pod_resources) as kubelet:
            on_stage = Play(agent, kubelet, config)
            on_stage.write()
            agent.config = config.file
            await agent.start()
            await on_stage.listed(BOARD, 4)
            await on_stage.listed(SLICE, 8)
            yield on_stage
            await agent.kill()
    finally:
        await agent.kill()
        shutil.rmtree(folder)


def rename(**changes: object) -> list[dict[str, object]]:
    return [{"resource": BOARD, "rename": OTHER, **changes}]


async def test_a_change_of_a_configmap_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kubelet exchanges a link; no name of the file itself changes."""
    async with play(monkeypatch) as on:
        on.write(offers=rename())
        await on.listed(OTHER, 4)
        await on.listed(BOARD, 0)


async def test_a_file_that_is_written_in_place_is_taken_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As soon as its writer has closed it."""
    async with play(monkeypatch, PlainFile) as on:
        on.write(offers=rename())
        await on.listed(OTHER, 4)


async def test_what_changes_before_anybody_watches_is_taken_over(tmp_path: Path) -> None:
    """The file was read for the start; who watches it comes later."""
    file = tmp_path / "nodeplug.yaml"
    before = stamp(file)
    file.touch()
    changed = Configuration(AgentSettings(offers=(OfferRule(resource=BOARD, rename=OTHER),)))
    async with stage() as play:
        reloading = asyncio.create_task(Reloader({file: before}, lambda: changed, play.agent).run())
        await play.listed(OTHER, allocatable=4)
        reloading.cancel()


async def test_a_device_is_quarantined_and_released_while_the_agent_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Unhealthy with the operator's reason; the others stay on offer."""
    async with play(monkeypatch) as on:
        on.write(quarantine=[{"devices": {"id": "awk-board-1"}, "reason": "fan is loud"}])
        await on.listed(BOARD, 3)
        told = await on.logged("device unhealthy")
        assert told["reason"] == "quarantined: fan is loud"
        on.write()
        await on.listed(BOARD, 4)


async def test_what_does_not_change_is_not_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No list is sent again, nothing is registered anew."""
    async with play(monkeypatch) as on:
        on.write(offers=rename())
        await on.listed(OTHER, 4)
        lists, registrations = (len(on.kubelet.journal.of(k, SLICE)) for k in ("list", "register"))
        assert (lists, registrations) == (1, 1)


async def test_a_backend_s_new_settings_are_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old resource stays, with its devices gone or waiting; the new one comes."""
    async with play(monkeypatch) as on:
        on.write(backends={"awkward": {"domain": "new.example.com"}})
        await on.listed("new.example.com/board", 4)
        await on.listed(BOARD, 0)


@pytest.mark.parametrize(
    "text",
    ["", "log: [", "unknown: {}", "backends: {awkward: {domain: [7]}}", "offers: [{resource: x}]"],
)
async def test_a_bad_reload_keeps_the_last_good_state(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """It is refused in one line, and the next good one is taken."""
    async with play(monkeypatch) as on:
        on.write_text(text)
        refused = await on.logged("reload refused")
        assert "nodeplug.yaml: " in str(refused["error"])
        assert len(on.kubelet.journal.of("list", BOARD)) == 1
        on.write(offers=rename())
        await on.listed(OTHER, 4)


async def test_settings_that_do_not_work_give_way_to_those_that_did(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Valid by the schema, yet the backend cannot be built with them."""
    async with play(monkeypatch) as on:
        on.write(backends={"awkward": {"domain": "NOT-A-DOMAIN"}})
        await on.logged("new settings do not work, the former stay")
        on.write(offers=rename())
        await on.listed(OTHER, 4)


async def test_sighup_asks_for_a_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    """For file systems that tell of no change."""
    async with play(monkeypatch) as on:
        on.write_text("log: [")
        await on.logged("reload refused")
        os.kill(on.agent.pid, signal.SIGHUP)
        await on.logged("reload refused", times=2)


async def test_a_broken_section_at_start_is_replaced_by_what_worked_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The agent restarts with a file that is broken: the devices are there all the same."""
    async with play(monkeypatch) as on:
        on.write(backends={"awkward": {"domain": "kept.example.com"}})
        await on.listed("kept.example.com/board", 4)
        await on.agent.terminate()
        on.write(backends={"awkward": {"domain": [7]}})
        await on.agent.start()
        await on.listed("kept.example.com/board", 4)


async def test_what_worked_for_another_installation_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would serve that one's resources; without anything to serve, the agent ends."""
    async with play(monkeypatch) as on:
        await on.agent.terminate()
        on.write(backends={"awkward": {"domain": "first.example.com"}})
        monkeypatch.setenv("NODEPLUG_INSTALLATION", "kube-system/first")
        await on.agent.start()
        await on.listed("first.example.com/board", 4)
        await on.agent.terminate()
        on.write(backends={"awkward": {"domain": [7]}})
        monkeypatch.setenv("NODEPLUG_INSTALLATION", "kube-system/second")
        await on.agent.start()
        assert on.agent._process is not None
        async with patience(10):
            assert await on.agent._process.wait() == USAGE


@timed
async def test_a_hundred_reloads_under_load_fail_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allocates go on, as many as one client can send; the unchanged resource is told nothing.

    That is more than a thousand a second where two cores are free. The rate is judged beside that
    of the same client before the first change, so that a busy machine proves nothing wrong.
    """
    async with play(monkeypatch) as on:
        home = on.agent.plugin_dir / ".nodeplug"
        sockets = [f"unix:{path}" for path in sorted(home.glob("*/.*.sock"))]
        slice_id = "awk-board-0-slice-0"
        before = asyncio.Event()
        asyncio.get_running_loop().call_later(1, before.set)
        undisturbed = await _allocate(sockets, slice_id, before)
        stop = asyncio.Event()
        load = asyncio.create_task(_allocate(sockets, slice_id, stop))
        for number in range(CHANGES):
            on.write(offers=rename(replicas=1 + number % 3))
            await asyncio.sleep(0.02)
        on.write(offers=rename(replicas=5))
        await on.listed(OTHER, 20)
        stop.set()
        assert await load > undisturbed / 3
        assert len(on.kubelet.journal.of("list", SLICE)) == 1


async def _allocate(sockets: list[str], device: str, stop: asyncio.Event) -> float:
    request = api.AllocateRequest(
        container_requests=[api.ContainerAllocateRequest(devices_ids=[device])]
    )
    target = await _serving(sockets, request)
    calls, started = 0, time.monotonic()
    async with grpc.aio.insecure_channel(target) as channel:
        stub = api_grpc.DevicePluginStub(channel)
        while not stop.is_set():
            await asyncio.gather(*(stub.Allocate(request) for _ in range(10)))
            calls += 10
    return calls / (time.monotonic() - started)


async def _serving(sockets: list[str], request: api.AllocateRequest) -> str:
    for target in sockets:
        async with grpc.aio.insecure_channel(target) as channel:
            try:
                await api_grpc.DevicePluginStub(channel).Allocate(request)
            except grpc.aio.AioRpcError:
                continue
            return target
    raise AssertionError("no server knows the device")


async def test_news_that_comes_amid_a_reload_is_not_overtaken_by_what_was_before() -> None:
    """One backend's turn comes while another's devices are offered anew."""
    async with stage() as play:
        other, kind = BackendHandle("other"), "example.com/other"
        await play.agent.publish(other, Inventory.of([Device(id="o1", resource=kind)]))
        await play.listed(kind, allocatable=1)
        async with play.agent._publishing:
            play.rules = [OfferRule(resource=BOARD, policy="packed")]
            reload = asyncio.create_task(play.reload())
            await asyncio.sleep(0)
            sick = Device(id="o1", resource=kind, health=Health.UNHEALTHY, reason="sick")
            news = asyncio.create_task(play.agent.publish(other, Inventory.of([sick])))
            await asyncio.sleep(0)
        await asyncio.gather(reload, news)
        [listed] = [r.pool for r in play.agent.report().resources if r.pool.resource == kind]
        assert [device.reason for device in listed.snapshot.devices] == ["sick"]


async def test_a_kubelet_restart_amid_new_options_loses_no_resource() -> None:
    """R17: new options need a new socket; whoever is interrupted in making it starts over."""
    async with stage() as play:
        packed = OfferRule(resource=BOARD, policy="packed")
        for rules in [[packed], []] * 5:
            play.rules = rules
            await play.reload()
            await asyncio.sleep(0)
            await play.kubelet.restart()
            await play.listed(allocatable=4)
