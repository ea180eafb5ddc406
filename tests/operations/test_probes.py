"""Ready is what can be used; healthy is what a restart would not mend."""

import asyncio
import socket
from functools import partial
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from nodeplug.config.load import Source, load_configuration
from nodeplug.kubelet import pod_resources, probe
from nodeplug.kubelet.server import DevicePluginServer
from nodeplug.supervisor.reload import Reloader, ReloadReport, refusal
from nodeplug.values.errors import ConfigError
from support.awkward.backend import SPEC
from support.awkward.state import State
from support.stage import BOARD, stage
from support.watched import watched


async def test_an_agent_whose_resources_are_listened_to_is_ready() -> None:
    """And healthy."""
    async with stage() as play, watched(play) as watch:
        await watch.until("/readyz", 200, "ok")
        assert await watch.get("/healthz") == (200, "ok\n")


async def test_without_a_kubelet_the_agent_is_healthy_but_not_ready() -> None:
    """A restart would not bring the kubelet back."""
    async with stage() as play, watched(play) as watch:
        await play.kubelet.stop(unlink=True)
        await watch.until("/readyz", 503, "the kubelet is not there")
        assert (await watch.get("/healthz"))[0] == 200
        await play.kubelet.start()
        await watch.until("/readyz", 200, "ok")


async def test_a_resource_that_another_agent_serves_is_named() -> None:
    """This one waits for its turn."""
    async with stage() as play:
        play.start_agent()
        async with watched(play) as watch:
            await watch.until("/readyz", 503, f"{BOARD}: another agent serves it")
            await play.stop_agent(play.agents[0])
            await watch.until("/readyz", 200, "ok")


async def test_a_broken_configuration_and_a_failing_backend_are_told() -> None:
    """The agent serves on, but not what was asked for."""
    async with stage() as play, watched(play) as watch:
        error = ConfigError("c.yaml: log.level: expected `str`, found 7", "c.yaml: log.level")
        watch.reload = ReloadReport((refusal(error),), 0)
        await watch.until("/readyz", 200, "degraded: configuration: c.yaml: log.level: refused")
        watch.reload = ReloadReport((), 0)
        play.set(State(crash=True))
        await watch.until("/readyz", 200, "degraded: backend awkward: failed")


async def later(_: DevicePluginServer) -> bool:
    """Put nothing back yet: on a busy machine it would be before anybody looks."""
    return True


async def test_a_socket_that_is_gone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readiness asks our own socket as the kubelet would."""
    monkeypatch.setattr(DevicePluginServer, "repair", later)
    async with stage() as play, watched(play) as watch:
        await watch.until("/readyz", 200, "ok")
        reports = play.agent.report().resources
        path = next(each.socket for each in reports if each.pool.resource == BOARD)
        path.unlink()
        status, text = await watch.get("/readyz")
        assert (status, "its own socket does not answer" in text) == (503, True)
        monkeypatch.undo()
        await watch.until("/readyz", 200, "ok")


async def test_an_agent_that_does_not_look_any_more_is_not_healthy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The only thing that a restart mends."""
    async with stage() as play, watched(play) as watch:
        stuck = asyncio.Event().wait
        monkeypatch.setattr(play.agent._watch, "_look", stuck)
        play.agent._watch.looked -= 60
        status, text = await watch.get("/healthz")
        assert status == 503
        assert "nobody has looked for the kubelet for 6" in text


async def test_readiness_keeps_one_connection_to_each_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new one each time costs memory that does not come back."""
    made: list[str] = []
    connect = grpc.aio.insecure_channel

    def counted(target: str, **options: Any) -> grpc.aio.Channel:
        made.append(target)
        return connect(target, **options)

    async with stage() as play, watched(play) as watch:
        await watch.until("/readyz", 200, "ok")
        sockets = {f"unix:{each.socket}" for each in play.agent.report().resources}
        monkeypatch.setattr(grpc.aio, "insecure_channel", counted)
        for _ in range(20):
            assert (await watch.get("/readyz"))[0] == 200
        assert [target for target in made if target in sockets] == []


async def test_a_socket_that_took_the_place_of_another_is_asked_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection to the former one would say that all is well."""
    monkeypatch.setattr(DevicePluginServer, "repair", later)
    async with stage() as play, watched(play) as watch:
        await watch.until("/readyz", 200, "ok")
        path = next(r.socket for r in play.agent.report().resources if r.pool.resource == BOARD)
        path.unlink()
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.bind(str(path))
            status, text = await watch.get("/readyz")
        assert (status, "its own socket does not answer" in text) == (503, True)


SECRET = "hunter2"  # noqa: S105 - of nothing


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"log: {{level: {SECRET}}}", "log.level"),
        (f"metrics: {{port: {SECRET}}}", "metrics.port"),
        (f"a: {SECRET}: b", "line 1, column 11"),
        (f"{SECRET}: 1\n{SECRET}: 2", "line 2, column 1"),
        (f"[{SECRET}", "line 1, column 9"),
        (f"\0{SECRET}", "c.yaml"),
        (f"quarantine: [{{devices: {{}}, reason: {SECRET}}}]", "quarantine[0]"),
        (f"quarantine: [{{devices: {{id: ['!', {SECRET}]}}}}]", "quarantine[0]"),
        (f"offers: [{{resource: {SECRET}}}]", "offers[0]"),
        (f"backends: {{awkward: {{boards: {SECRET}}}}}", "backends.awkward"),
    ],
)
async def test_readiness_tells_where_a_configuration_is_wrong_but_no_value(
    text: str, place: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is for anybody who reaches the port, and for all who may read nodes; the log is not."""
    file = tmp_path / "c.yaml"
    file.write_text(text)
    async with stage() as play, watched(play) as watch:
        load = partial(load_configuration, [Source(file)], {"awkward": SPEC})
        reloader = Reloader({}, load, play.agent)
        await reloader._reload()
        watch.reload = reloader.report
        status, shown = await watch.get("/readyz")
    assert status == 200
    assert place in shown
    assert SECRET not in shown
    assert "reload refused" in caplog.text


async def test_readiness_does_not_tell_what_a_backend_failed_with() -> None:
    """Its error may quote its settings."""
    async with stage() as play, watched(play) as watch:
        play.set(State(crash=True))
        await watch.until("/readyz", 200, "degraded: backend awkward: failed\n")


@pytest.mark.parametrize("asker", [probe, pod_resources], ids=["readiness", "use"])
async def test_nobody_waits_for_a_grpc_that_does_not_turn(
    asker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own limits need a thread of it."""

    async def never(*_: object, timeout: float) -> None:  # noqa: ASYNC109 - as gRPC has it
        assert timeout
        await asyncio.Event().wait()

    monkeypatch.setattr(asker, "method", lambda *_: never)
    monkeypatch.setattr(probe, "_SECONDS", 0.01)
    monkeypatch.setattr(pod_resources, "_LIST_SECONDS", 0.01)
    asked = probe.trouble_at if asker is probe else pod_resources._answer
    assert await asked(Path("/none")) in {"gRPC does not turn", None}
