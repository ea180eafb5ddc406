"""The doctor finds each fault of a node, and nothing on a sound one."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nodeplug.backend import Backend, HostMount
from nodeplug.config.load import Configuration
from nodeplug.config.settings import AgentSettings, HostSettings
from nodeplug.host.fallbacks import fall_back
from nodeplug.host.host import Host
from nodeplug.operations.doctor.backends import discover_all
from nodeplug.operations.doctor.patient import Patient
from nodeplug.values.device import Device
from nodeplug.values.edits import ContainerEdits
from nodeplug.values.inventory import Inventory
from nodeplug_custom.plugin import SPEC as CUSTOM
from support.awkward.backend import Settings
from support.faults import FAULTS, Fault, no_token, open_directory, sick_devices
from support.packages import install
from support.plugin import Plugin
from support.stage import BOARD, SLICE
from support.timed import on_this_machine, timed
from support.ward import ward


class Blocked:
    """A backend whose driver call never returns, and which makes it on the loop."""

    async def inventories(self) -> AsyncGenerator[Inventory, None]:
        threading.Event().wait()
        yield Inventory.of([])

    async def allocate(self, _resource: str, _devices: Sequence[Device]) -> ContainerEdits:
        return ContainerEdits()


def _blocked(_settings: object, _host: Host, _previous: Backend | None) -> Backend:
    return Blocked()


async def test_nothing_is_found_on_a_sound_node() -> None:
    """Everything that can be switched on is, and every right is there."""
    async with ward() as node:
        node.need(capabilities=["NET_ADMIN"], host_network=True, mounts=[HostMount("/dev")])
        node.document["offers"] = [{"resource": BOARD, "inject": "cdi"}]
        node.document["labels"] = {"enabled": True, "featureDir": "/features.d"}
        node.play.host.path("/features.d").mkdir()
        assert await node.examine() == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.make.__name__)
async def test_a_fault_is_found_and_comes_with_a_remedy(fault: Fault) -> None:
    """Nothing but what was seeded can be the cause: the node is sound without it."""
    async with ward() as node:
        await fault.make(node)
        findings = await node.examine()
        (found,) = [
            each
            for each in findings
            if fault.finding in each.finding and fault.subject in each.subject
        ]
        assert found.severity == fault.severity
        assert found.remedy


async def test_a_rule_for_several_resources_has_an_effect_where_one_of_them_is_there() -> None:
    """Its name is none of a resource, but the beginning of some."""
    async with ward() as node:
        node.document["offers"] = [{"resource": f"{BOARD[:-1]}*", "replicas": 2}]
        assert await node.examine() == []


async def test_another_plugin_that_serves_the_same_resource_is_found() -> None:
    """As in a migration in which the old plugin was forgotten."""
    async with ward(agents=0) as node:
        plugin = Plugin(node.play.directory, BOARD, "old.sock")
        plugin.send(old="Healthy")
        await plugin.start()
        await plugin.register()
        await node.play.listed(allocatable=1)
        (found,) = await node.examine()
        assert (found.severity, found.subject) == ("problem", BOARD)
        assert "which may be at old.sock" in found.finding
        await plugin.stop()


async def test_a_plugin_of_other_resources_is_no_rival() -> None:
    """Its socket is neither read nor named."""
    async with ward() as node:
        plugin = Plugin(node.play.directory, "example.com/other")
        plugin.send(one="Healthy")
        await plugin.start()
        await plugin.register()
        await node.play.kubelet.until(lambda: node.play.allocatable("example.com/other") == 1)
        assert await node.examine() == []
        await plugin.stop()


async def test_backends_of_another_release_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the metadata that installers leave."""
    install(tmp_path, "awkward", "", distribution="nodeplug-awkward")
    monkeypatch.syspath_prepend(tmp_path)
    async with ward() as node:
        (found,) = await node.examine()
        assert (found.severity, found.subject) == ("warning", "nodeplug-awkward")


@timed
async def test_a_backend_that_hangs_costs_its_limit_and_nothing_else() -> None:
    """All that a backend may do is let hang at once; other checks find what is wrong."""

    def hang(*_: Any) -> Any:
        threading.Event().wait()

    async with ward() as node:
        node.spec = replace(node.spec, build=_blocked, probe=hang, checks=hang)
        await open_directory(node)
        began = time.monotonic()
        findings = await node.examine(seconds=1)
        assert time.monotonic() - began < on_this_machine(10)  # discovery and checks
        assert {each.subject for each in findings} == {
            "backend awkward",
            "probe of backend awkward",
            "checks of backend awkward",
            str(node.play.directory),
        }


async def test_backends_that_follow_kernel_events_are_asked_side_by_side(tmp_path: Path) -> None:
    """Each on a loop of its own, which shares nothing with the others."""
    (tmp_path / "dev").mkdir()
    specs = {name: replace(CUSTOM, name=name) for name in ("one", "two", "three")}
    agent = AgentSettings(host=HostSettings(root=str(tmp_path)))
    sections = dict.fromkeys(specs, CUSTOM.settings())
    patient = Patient(specs=specs, configuration=Configuration(agent, sections))
    found, failures = await discover_all(patient, 8)
    assert (sorted(found), failures) == (sorted(specs), [])


async def test_problems_come_before_warnings() -> None:
    """Each once."""
    async with ward() as node:
        await open_directory(node)
        await no_token(node)
        await sick_devices(node)
        severities = [each.severity for each in await node.examine()]
        assert severities == sorted(severities)
        assert {"problem", "warning"} == {*severities}


async def test_what_an_agent_does_not_do_as_it_should_is_found() -> None:
    """Only the agent itself knows that it runs with former settings, and why."""
    async with ward() as node:
        agent = node.play.agent
        await agent.apply(agent.rules, {"awkward": Settings(domain="NOT-A-DOMAIN")})
        await until(lambda: bool(agent.report().troubles))
        (found,) = await node.examine()
        assert (found.severity, found.subject) == ("warning", "backend awkward")
        assert "the former stay: InvalidValueError" in found.finding
        assert "NOT-A-DOMAIN" in found.finding


async def test_what_an_agent_does_without_is_found() -> None:
    """Its log may be far away."""
    async with ward() as node:
        fall_back("annotation", "not kept for another start", "no space")
        (found,) = await node.examine()
        assert (found.severity, found.subject) == ("warning", "annotation")
        assert "not kept for another start: no space" in found.finding


async def test_a_name_that_is_taken_is_found_with_or_without_an_agent() -> None:
    """By the configuration alone."""
    async with ward(agents=0) as node:
        node.document["offers"] = [{"resource": BOARD, "rename": SLICE}]
        await node.play.kubelet.stop(unlink=True)
        found = [each for each in await node.examine() if each.subject == BOARD]
        assert [(each.severity, each.finding) for each in found] == [
            ("problem", f"{BOARD} is not offered as {SLICE}: that is the name of {SLICE}")
        ]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - a report tells nobody of its news
            await asyncio.sleep(0.01)
