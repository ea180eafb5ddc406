"""Each broken rule is found by its number, and no other with it."""

import asyncio
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import psutil
import pytest

from nodeplug.config.settings import PLUGIN_DIR
from nodeplug.conformance import plugin
from nodeplug.conformance.judge import judge
from nodeplug.conformance.rules import RULES
from nodeplug.testing import Profile
from support.command import nodeplug
from support.needs import require

ANY = f"{sys.executable} {Path(__file__).with_name('any_plugin.py')} {{dir}}"


# Judging is mostly waiting; more at a time would make the machine the judge.
AT_ONCE = 4


async def outcomes(command: str, profile: Profile = Profile.V1_36) -> dict[str, str]:
    return {v.number: v.outcome async for v in judge(command, profile, 10.0)}


def bad(found: dict[str, str]) -> set[str]:
    return {number for number, outcome in found.items() if outcome == "broken"}


@pytest.fixture(name="judged", scope="module")
def _judged() -> dict[str, dict[str, str]]:
    """Judge the plugin that obeys and all that break a rule; "" obeys."""

    async def all_of_them() -> dict[str, dict[str, str]]:
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(rule: str) -> dict[str, str]:
            async with turns:
                return await outcomes(f"{ANY} {rule}")

        rules = ["", *sorted(RULES.keys() - {"C1", "C19"})]
        found = await asyncio.gather(*map(one, rules))
        return dict(zip(rules, found, strict=True))

    return asyncio.run(all_of_them())


@pytest.mark.timeout(180)
def test_a_plugin_that_obeys_breaks_nothing(judged: dict[str, dict[str, str]]) -> None:
    """Every rule is judged."""
    assert judged[""] == dict.fromkeys(RULES, "held")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("rule", sorted(RULES.keys() - {"C1", "C19"}))
def test_a_broken_rule_is_found_and_no_other(rule: str, judged: dict[str, dict[str, str]]) -> None:
    """The others are judged on a plugin that is mended."""
    assert bad(judged[rule]) == {rule}


@pytest.mark.timeout(60)
async def test_newer_kubelets_judge_alike() -> None:
    """Of 1.37 and later."""
    assert await outcomes(ANY, Profile.V1_37) == dict.fromkeys(RULES, "held")


@pytest.mark.timeout(60)
async def test_a_plugin_that_does_not_end_is_found_and_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing of it is left."""
    monkeypatch.setattr(plugin, "END_SECONDS", 1.0)
    assert bad(await outcomes(f"{ANY} C19")) == {"C19"}
    assert not [p for p in psutil.process_iter(["cmdline"]) if "C19" in (p.info["cmdline"] or [])]


@pytest.mark.timeout(60)
async def test_a_plugin_that_registers_before_it_serves_is_found() -> None:
    """Nothing else can be judged then."""
    found = await outcomes(f"{ANY} C1")
    assert found.pop("C1") == "broken"
    assert set(found.values()) == {"not judged"}


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        ("sleep 60", "nothing registers within 1 s"),
        ("false", "the plugin has ended with code 1"),
        ("sh -c 'head -c 10000000 /dev/urandom; sleep 60'", "nothing registers"),
    ],
)
async def test_a_plugin_that_never_comes_is_reported_in_time(words: str, seen: str) -> None:
    """Whatever it does instead; its processes and files are gone afterwards."""
    started = time.monotonic()
    before = set(Path(tempfile.gettempdir()).glob("npq*"))
    verdicts = [v async for v in judge(f"{words} # {{dir}}", Profile.V1_36, 1.0)]
    assert seen in verdicts[0].detail
    assert time.monotonic() - started < 10
    assert set(Path(tempfile.gettempdir()).glob("npq*")) <= before


def test_a_plugin_without_a_placeholder_sees_the_usual_path() -> None:
    """In a mount namespace of its own."""
    words = plugin.PluginProcess("any --flag", Path("/tmp/x"), Path("/tmp/log")).words
    assert words[:3] == ["unshare", "--mount", "--propagation"]
    assert words[-3:] == ["/tmp/x", "any", "--flag"]
    require(os.geteuid() == 0, "mounting needs root")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "mark").touch()
        listing = plugin.PluginProcess(f"ls {PLUGIN_DIR}", Path(folder), Path(folder)).words
        shown = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
    assert shown == "mark\n"


@pytest.mark.timeout(120)
def test_the_command_prints_verdicts_and_leaves_a_report(tmp_path: Path) -> None:
    """Exit 1 for a rule that must hold."""
    report = tmp_path / "report.xml"
    command = f"{shlex.quote(sys.executable)} -c 'pass' {{dir}}"
    result = nodeplug(
        *("conformance", "--command", command, "--seconds", "1"),
        *("--junit", str(report), "--output", "json"),
    )
    assert result.code == 1
    shown = json.loads(result.out)
    assert {(v["rule"], v["outcome"]) for v in shown if v["outcome"] == "broken"} == {
        ("C1", "broken")
    }
    assert shown[0]["consequence"]["user"] == RULES["C1"].user
    suite = ET.parse(report).getroot()  # noqa: S314 - our own file
    assert (suite.get("tests"), suite.get("failures")) == (str(2 * len(RULES)), "2")
