"""Which pod has which device, as the kubelet says it."""

import asyncio
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import yaml

from nodeplug.host.root import HostRoot
from nodeplug.kubelet.api.podresources_v1_pb2 import (
    ContainerDevices,
    ContainerResources,
    ListPodResourcesResponse,
    PodResources,
)
from nodeplug.kubelet.api.podresources_v1_pb2_grpc import (
    PodResourcesListerServicer,
    add_PodResourcesListerServicer_to_server,
)
from nodeplug.offers import OfferRule
from nodeplug.operations.allocations import (
    NOT_ALLOCATABLE,
    UNKNOWN,
    Row,
    Sources,
    changed,
    follow,
    look,
)
from nodeplug.operations.discovery import discover
from nodeplug.testing import Pod
from nodeplug.values.errors import PodResourcesError
from support.awkward.backend import SPEC, Settings
from support.awkward.state import State, write_state
from support.command import Result, environment, nodeplug, write_config
from support.held_board import SHARED, held_board
from support.interrupts import IN_BACKGROUND
from support.packages import install
from support.plugin import Plugin
from support.stage import BOARD, Stage, stage


def sources(play: Stage) -> Sources:
    return Sources(play.pod_resources, play.directory)


async def rows(play: Stage, resource: str = BOARD) -> dict[str, Row]:
    return {row.id: row for row in await look(sources(play)) if row.resource == resource}


def config_of(play: Stage) -> Path:
    kubelet = {
        "devicePluginDir": str(play.directory),
        "podResourcesSocket": str(play.pod_resources),
    }
    host = {"ledgerDir": ""}
    return write_config(play.directory.parent, {"kubelet": kubelet, "host": host})


async def run(play: Stage, *arguments: str) -> Result:
    """Run the command while the stage goes on."""
    command = ("allocations", "--config", str(config_of(play)), *arguments)
    return await asyncio.to_thread(nodeplug, *command)


@asynccontextmanager
async def following(play: Stage) -> AsyncGenerator["asyncio.Queue[list[Row] | PodResourcesError]"]:
    told: asyncio.Queue[list[Row] | PodResourcesError] = asyncio.Queue()
    task = asyncio.create_task(follow(sources(play), 60, told.put_nowait))
    try:
        yield told
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_devices_are_shown_with_the_container_that_has_them() -> None:
    """Those that nobody has are shown as well."""
    async with stage() as play:
        pod = Pod.of({BOARD: 1})
        await play.kubelet.admit(pod)
        (held,) = play.kubelet.held(BOARD)
        found = await rows(play)
        numa = int(held[-1]) % 2
        wanted = Row(BOARD, held, held, (numa,), "Healthy", "", "default", pod.name, "c0")
        assert found[held] == wanted
        assert [row.pod for row in found.values()].count("") == 3


async def test_replicas_name_the_device_behind_them() -> None:
    """Two containers on one device are seen to be neighbours."""
    async with stage(agents=0) as play:
        play.rules = [OfferRule(resource=BOARD, replicas=2)]
        play.start_agent()
        await play.listed(allocatable=8)
        found = await rows(play)
        assert {row.device for row in found.values()} == {f"awk-board-{n}" for n in range(4)}
        assert found["awk-board-3::1"].device == "awk-board-3"


async def test_a_sick_device_in_use_is_alarming_and_a_sick_free_one_is_not() -> None:
    """The agent's own socket tells of health; the kubelet does not."""
    async with stage() as play:
        await play.kubelet.admit(Pod.of({BOARD: 1}))
        (held,) = play.kubelet.held(BOARD)
        free = next(f"awk-board-{n}" for n in range(4) if f"awk-board-{n}" != held)
        play.set(State(sick=(held, free)))
        await play.listed(allocatable=2)
        found = await rows(play)
        assert [found[each].health for each in (held, free)] == ["Unhealthy", "Unhealthy"]
        assert [row.id for row in found.values() if row.alarming] == [held]


async def test_a_device_that_is_held_is_told_from_a_sick_one() -> None:
    """With the id by which a container has it."""
    async with stage() as play:
        replica = await held_board(play)
        row = (await rows(play))[replica.partition("::")[0]]
        assert (row.health, row.reason) == ("Held", f"in use as {replica} of {SHARED}")


def test_a_device_in_use_that_is_held_besides_is_not_alarming() -> None:
    """It is well; what is to be looked at is in the reason."""
    row = Row(BOARD, "one", "one", (), "Held", "is /dev/b now", "default", "pod", "c0")
    assert not row.alarming


async def test_what_is_held_is_explained_beside_what_the_backend_says(tmp_path: Path) -> None:
    """The backend sees a sound device and knows of no container."""
    install(tmp_path, "awkward", "from support.awkward.backend import nodeplug_backend\n")
    async with stage() as play:
        replica = await held_board(play)
        document = yaml.safe_load(config_of(play).read_text())
        config = write_config(tmp_path, document | {"host": {"root": str(play.host.root)}})
        command = ("devices", "--explain", "--backend", "awkward", "--config", str(config))
        result = await asyncio.to_thread(nodeplug, *command, "--output", "json", site=tmp_path)
        (row,) = [each for each in json.loads(result.out) if each["held"]]
        assert row["device"] == replica.partition("::")[0]
        assert row["reason"] == f"held: in use as {replica} of {SHARED}"


def test_a_device_that_is_quarantined_is_explained_as_such(tmp_path: Path) -> None:
    """Row K6: the operator has taken it out of service, whatever the backend sees."""
    install(tmp_path, "awkward", "from support.awkward.backend import nodeplug_backend\n")
    write_state(HostRoot(tmp_path), State())
    rule = {"devices": {"id": "awk-board-1"}, "reason": "fan is loud"}
    config = write_config(tmp_path, {"host": {"root": str(tmp_path)}, "quarantine": [rule]})
    command = ("devices", "--explain", "--backend", "awkward", "--config", str(config))
    rows = json.loads(nodeplug(*command, "--output", "json", site=tmp_path).out)
    out = [(row["device"], row["reason"]) for row in rows if not row["served"]]
    assert out == [("awk-board-1", "quarantined: fan is loud")]


async def test_a_backend_says_why_a_device_is_sick() -> None:
    """Asked once, beside the agent."""
    async with stage() as play:
        play.set(State(sick=("awk-board-2",)))
        await play.listed(allocatable=3)
        inventory = await discover(SPEC, Settings(), str(play.host.root))
        found = await look(Sources(play.pod_resources, play.directory, inventory.devices))
        reasons = {row.id: row.reason for row in found if row.reason}
        assert reasons == {"awk-board-2": "told to be sick"}


async def test_devices_of_other_plugins_are_shown_as_the_kubelet_sees_them() -> None:
    """One that is held and not allocatable is alarming, whoever serves it."""
    async with stage(agents=0) as play:
        plugin = Plugin(play.directory, "example.com/other")
        plugin.send(one="Healthy")
        await plugin.start()
        await plugin.register()
        await play.kubelet.until(lambda: play.allocatable("example.com/other") == 1)
        await play.kubelet.admit(Pod.of({"example.com/other": 1}))
        assert [row.health for row in await look(sources(play))] == ["Healthy"]
        plugin.send(one="Unhealthy")
        await play.kubelet.until(lambda: play.allocatable("example.com/other") == 0)
        (row,) = await look(sources(play))
        assert (row.health, row.alarming) == (NOT_ALLOCATABLE, True)
        await plugin.stop()


async def test_asking_ends_no_stream_of_the_kubelet() -> None:
    """The agent's list is read by one client more, for a moment."""
    async with stage() as play:
        registered = play.kubelet.journal.of("register")
        for _ in range(3):
            await rows(play)
        again = play.kubelet.journal.of("register")
        assert again == registered


async def test_an_allocation_wakes_whoever_follows() -> None:
    """Long before the interval of a minute is over."""
    async with stage() as play, following(play) as told:
        before = await told.get()
        pod = Pod.of({BOARD: 2})
        await play.kubelet.admit(pod)
        assert isinstance(before, list)
        news: list[Row] = []
        while not news:
            after = await told.get()
            assert isinstance(after, list)
            news = changed(before, after)
        assert [row.pod for row in news] == [pod.name, pod.name]


async def test_following_survives_a_kubelet_restart() -> None:
    """While it is away, that is told; afterwards its answers are."""
    async with stage() as play, following(play) as told:
        assert isinstance(await told.get(), list)
        await play.kubelet.stop(unlink=True)
        while not isinstance(await told.get(), PodResourcesError):
            pass
        await play.kubelet.start()
        while not isinstance(await told.get(), list):
            pass


async def test_a_kubelet_that_refuses_for_haste_is_an_error_of_one_line() -> None:
    """All clients of pod resources share one limit."""
    async with stage() as play:
        looks = (look(sources(play)) for _ in range(30))
        results = await asyncio.gather(*looks, return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        assert {type(error) for error in errors} == {PodResourcesError}
        assert "rejected by rate limit" in str(errors[0])


async def test_kubelets_that_do_not_tell_what_is_allocatable_are_understood() -> None:
    """Only what is held is known then, and nothing of its health."""
    folder = Path(tempfile.mkdtemp(prefix="np", dir="/tmp"))

    class Old(PodResourcesListerServicer):
        async def List(self, _: Any, __: Any) -> Any:  # noqa: N802
            devices = [ContainerDevices(resource_name=BOARD, device_ids=["one"])]
            containers = [ContainerResources(name="c", devices=devices)]
            pod = PodResources(name="pod", namespace="ns", containers=containers)
            return ListPodResourcesResponse(pod_resources=[pod])

    server = grpc.aio.server()
    add_PodResourcesListerServicer_to_server(Old(), server)  # type: ignore[abstract]
    server.add_insecure_port(f"unix:{folder / 'pr.sock'}")
    await server.start()
    (row,) = await look(Sources(folder / "pr.sock", folder))
    assert (row.id, row.pod, row.health, row.alarming) == ("one", "pod", UNKNOWN, False)
    await server.stop(grace=None)
    shutil.rmtree(folder)


def test_what_changed_is_told_by_id() -> None:
    """A device that is gone is told once more, without health."""
    one = Row("a.b/c", "one", "one", (), "Healthy", "")
    two = Row("a.b/c", "two", "two", (), "Healthy", "", "ns", "pod", "c")
    sick = Row("a.b/c", "one", "one", (), "Unhealthy", "")
    gone = Row("a.b/c", "two", "two", (), "", "gone")
    assert changed([one, two], [sick]) == [sick, gone]
    assert changed([one, two], [one, two]) == []


async def test_the_command_prints_a_table_and_json() -> None:
    """With a mark that a script can look for."""
    async with stage() as play:
        pod = Pod.of({BOARD: 1})
        await play.kubelet.admit(pod)
        (held,) = play.kubelet.held(BOARD)
        play.set(State(sick=(held,)))
        await play.listed(allocatable=3)
        table = await run(play)
        (line,) = [line for line in table.out.splitlines() if pod.name in line]
        assert line.split() == [
            *(BOARD, held, str(int(held[-1]) % 2), "Unhealthy", "default", pod.name, "c0"),
            *("IN", "USE,", "NOT", "HEALTHY:", "told", "to", "be", "sick"),
        ]
        shown = json.loads((await run(play, "--output", "json")).out)
        assert [row["id"] for row in shown if row["unhealthyInUse"]] == [held]


async def test_the_command_gives_a_backend_s_reason(tmp_path: Path) -> None:
    """Beside the agent, which is not asked for it."""
    install(tmp_path, "awkward", "from support.awkward.backend import nodeplug_backend\n")
    async with stage() as play:
        play.set(State(sick=("awk-board-2",)))
        await play.listed(allocatable=3)
        document = yaml.safe_load(config_of(play).read_text())
        config = write_config(tmp_path, document | {"host": {"root": str(play.host.root)}})
        command = ("allocations", "--backend", "awkward", "--config", str(config))
        result = await asyncio.to_thread(nodeplug, *command, site=tmp_path)
        (line,) = [line for line in result.out.splitlines() if "awk-board-2 " in line]
        assert line.endswith("Unhealthy  -          -    -          told to be sick")


async def test_names_that_a_terminal_would_obey_are_escaped() -> None:
    """Another plugin may call its devices what it likes."""
    async with stage(agents=0) as play:
        plugin = Plugin(play.directory, "example.com/other")
        plugin.send(**{"\x1b[2Jone": "Healthy"})
        await plugin.start()
        await plugin.register()
        await play.kubelet.until(lambda: play.allocatable("example.com/other") == 1)
        result = await run(play)
        assert "\x1b" not in result.out
        assert "\\x1b[2Jone" in result.out
        await plugin.stop()


async def test_watching_prints_an_allocation_and_ends_at_an_interrupt() -> None:
    """One JSON object in a line, with the time."""
    async with stage() as play:
        process = await asyncio.create_subprocess_exec(
            *(*IN_BACKGROUND, sys.executable, "-m", "nodeplug"),
            *("allocations", "--watch", "--interval", "60"),
            *("--config", str(config_of(play)), "--output", "json"),
            stdout=asyncio.subprocess.PIPE,
            env=environment(None),
        )
        assert process.stdout is not None
        try:
            for _ in range(12):  # boards and slices
                await process.stdout.readline()
            pod = Pod.of({BOARD: 1})
            await play.kubelet.admit(pod)
            row = json.loads(await process.stdout.readline())
            assert (row["pod"], row["resource"], "time" in row) == (pod.name, BOARD, True)
        finally:
            process.send_signal(signal.SIGINT)
            rest = (await process.communicate())[0]
        assert (process.returncode, rest) == (0, b"")


@pytest.mark.parametrize("arguments", [(), ("--watch",)])
def test_without_a_kubelet_there_is_one_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """And exit code 1."""
    config = write_config(tmp_path, {"kubelet": {"podResourcesSocket": str(tmp_path / "no.sock")}})
    result = nodeplug("allocations", "--config", str(config), *arguments)
    assert (result.code, result.out) == (1, "")
    (line,) = result.err.splitlines()
    assert line.startswith(f"nodeplug: {tmp_path}/no.sock: is not there")
