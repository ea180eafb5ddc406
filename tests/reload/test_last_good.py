"""A start with a file that cannot be read whole: what worked last holds, all of it, or nothing."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nodeplug.cli import kept
from nodeplug.cli.options import USAGE
from nodeplug.config.load import Source
from nodeplug.config.settings import AgentSettings, KubeletSettings
from nodeplug.offers import OfferRule
from nodeplug.supervisor.last_good import LastGood
from nodeplug.testing.patience import patience
from nodeplug.values.errors import ConfigError
from support.agent_node import Node, node
from support.awkward.backend import SPEC, Settings
from support.stage import BOARD
from support.watched import Watch, free_port

RENAMED = "example.com/renamed"
RULES: dict[str, Any] = {
    "offers": [{"resource": BOARD, "rename": RENAMED}],
    "quarantine": [{"devices": {"id": "awk-board-1"}, "reason": "catches fire"}],
}
# All are YAML, and none can be read whole.
WRONG: Sequence[Mapping[str, Any]] = [
    {"offers": [{"resource": BOARD, "replicas": 0}]},
    {"log": {"level": "loud"}},
    {"unknown": 1},
    {"quarantine": [{"devices": {}}]},
    {"nodes": [{"config": {"metrics": {"port": "none"}}}]},
    {"offers": [{"resource": BOARD, "rename": "a.b/c"}, {"resource": "d.e/f", "rename": "a.b/c"}]},
]


@asynccontextmanager
async def ended(
    monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> AsyncGenerator[tuple[Node, dict[str, Any]], None]:
    """Yield a node whose agent has worked and ended, and what its file says."""
    async with node(monkeypatch, {"awkward": {}}, **RULES, **settings) as play:
        document = json.loads(play.agent.config.read_bytes()) | RULES
        play.agent.config.write_text(json.dumps(document))
        await play.listed(RENAMED, 3)
        await _kept(play, RENAMED)
        await play.agent.terminate()
        yield play, document


async def _kept(play: Node, text: str) -> None:
    folder = play.agent.plugin_dir / ".nodeplug" / "last-good"
    async with patience(10):
        while not any(text in file.read_text() for file in folder.glob("*.json")):  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: next(iter(wrong)))
async def test_the_whole_configuration_that_worked_holds(
    monkeypatch: pytest.MonkeyPatch, wrong: Mapping[str, Any]
) -> None:
    """A quarantined device stays out of service, a renamed one has its name and no other."""
    port = free_port()
    metrics = {"address": "127.0.0.1", "port": port}
    async with ended(monkeypatch, metrics=metrics) as (play, document):
        moved = {"metrics": {"port": free_port()}, "host": {"root": "/nowhere"}}
        play.agent.config.write_text(json.dumps({**document, **moved, **wrong}))
        before = len(play.kubelet.journal.of("list", RENAMED))
        await play.agent.start()
        await play.kubelet.until(lambda: len(play.kubelet.journal.of("list", RENAMED)) > before)
        await play.listed(RENAMED, 3)
        assert play.kubelet.devices(RENAMED)["awk-board-1"] == "Unhealthy"
        assert play.kubelet.journal.of("list", BOARD) == []
        await Watch(port).until("/readyz", 200, "degraded: configuration: ")


@pytest.mark.parametrize("text", ["log: [", "- 1", "kubelet: {devicePluginDir: 7}", ""])
async def test_without_anything_that_worked_the_agent_ends(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """It takes no directory and no port that its file does not name."""
    async with ended(monkeypatch) as (play, document):
        wrong = text or json.dumps(document | {"unknown": 1})
        play.agent.config.write_text(wrong)
        monkeypatch.setenv("NODEPLUG_INSTALLATION", "another")
        await play.agent.start()
        assert play.agent._process is not None
        async with patience(10):
            assert await play.agent._process.wait() == USAGE


async def test_a_rule_that_does_not_work_is_not_what_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last that did is."""
    async with node(monkeypatch, {"awkward": {}}) as play:
        await play.listed(BOARD, 4)
        play.agent.offer([{"resource": BOARD, "rename": RENAMED}])
        await play.listed(RENAMED, 4)
        await _kept(play, RENAMED)
        refused = {"resource": "awkward.example.com/*", "policy": "spread"}
        first = {"resource": BOARD, "devices": {"board": 0}, "policy": "packed"}
        play.agent.offer([first, refused])
        await play.listed(BOARD, 1)
        await play.agent.terminate()
        document = json.loads(play.agent.config.read_bytes()) | {"unknown": 1}
        play.agent.config.write_text(json.dumps(document))
        await play.agent.start()
        await play.listed(BOARD, 0)
        await play.listed(RENAMED, 4)


def _kept_in(folder: Path, installation: str) -> AgentSettings:
    settings = AgentSettings(
        kubelet=KubeletSettings(device_plugin_dir=str(folder)),
        offers=(OfferRule(resource=BOARD, rename=RENAMED),),
    )
    LastGood(folder, installation).save(settings, {"awkward": Settings(domain="kept.example.com")})
    return settings


def test_a_file_that_is_no_yaml_is_no_way_to_another_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nobody knows where its agent was; only the usual directory is looked into."""
    monkeypatch.setattr(kept, "PLUGIN_DIR", str(tmp_path))
    before = _kept_in(tmp_path, "mine")
    file = tmp_path / "c.yaml"
    file.write_text("kubelet: {devicePluginDir: /elsewhere}\n}:")
    error = ConfigError("c.yaml: is wrong")
    found = kept.kept_whole(error, [Source(file)], {"awkward": SPEC}, "mine")
    assert found is not None
    assert (found.agent.kubelet, found.agent.offers) == (before.kubelet, before.offers)
    assert found.sections == {"awkward": Settings(domain="kept.example.com")}
    assert found.errors == [error]
    assert kept.kept_whole(error, [Source(file)], {"awkward": SPEC}, "another") is None


def test_what_is_kept_of_an_installation_is_not_another_s_of_the_same_file_name(
    tmp_path: Path,
) -> None:
    """Names of files are short."""
    _kept_in(tmp_path, "mine")
    [file] = (tmp_path / ".nodeplug" / "last-good").iterdir()
    file.rename(LastGood(tmp_path, "another").file)
    assert LastGood(tmp_path, "another").load() is None


def test_sections_of_backends_that_have_not_worked_yet_stay_as_they_were_kept(
    tmp_path: Path,
) -> None:
    """An agent may end before each of its backends has found its devices."""
    settings = _kept_in(tmp_path, "mine")
    LastGood(tmp_path, "mine").save(settings, {"other": {}})
    found = LastGood(tmp_path, "mine").load()
    assert found is not None
    assert found.backends.keys() == {"awkward", "other"}
