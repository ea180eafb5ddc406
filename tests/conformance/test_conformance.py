"""Each broken rule is found by its number, and no other with it."""

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import psutil
import pytest

from nodeplug.config.settings import PLUGIN_DIR, PLUGIN_REGISTRY
from nodeplug.conformance import checks_life, plugin
from nodeplug.conformance.judge import judge
from nodeplug.conformance.namespace import in_namespace
from nodeplug.conformance.rules import RULES
from nodeplug.conformance.stage import opened
from nodeplug.conformance.subject import Places, Subject
from nodeplug.testing import Kubelet, Profile, patience
from support.command import nodeplug
from support.mounts import can_mount_in_namespace
from support.needs import require
from support.timed import on_this_machine, timed

ANY = f"{sys.executable} {Path(__file__).with_name('any_plugin.py')} {{dir}}"
# Registers a socket at which it talks, but not the language of the kubelet.
GARBAGE = """
import os, socket, sys, grpc
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
folder = sys.argv[1]
server = socket.socket(socket.AF_UNIX)
server.bind(f"{folder}/g.sock")
server.listen()
request = api.RegisterRequest(version="v1beta1", endpoint="g.sock", resource_name="example.com/g")
channel = grpc.insecure_channel(f"unix:{folder}/kubelet.sock")
answer = api_grpc.RegistrationStub(channel).Register.future(request, timeout=30)
while True:
    caller, _ = server.accept()
    caller.sendall(os.urandom(1000))
"""
CHANGE, UNDO = "touch {dir}/lost", "rm {dir}/lost"

# Judging is mostly waiting; more at a time would make the machine the judge.
AT_ONCE = 6

pytestmark = pytest.mark.xdist_group("conformance")


def subject(rule: str, *, found: bool = False) -> Subject:
    """Return the plugin that breaks a rule; "" breaks none."""
    command = f'{ANY} "{rule}" {"{registry}" if found else ""}'
    return Subject(command, change=CHANGE, undo=UNDO)


async def outcomes(subject: Subject, profile: Profile = Profile.V1_36) -> dict[str, str]:
    return {v.number: v.outcome async for v in judge(subject, profile)}


def bad(found: dict[str, str]) -> set[str]:
    return {number for number, outcome in found.items() if outcome == "broken"}


Case = tuple[str, Profile, bool]
JUDGES = (Profile.OLDEST, Profile.NEWEST)
ALONE = sorted(RULES.keys() - {"C1", "C19"})


@pytest.fixture(name="judged", scope="module")
def _judged() -> dict[Case, dict[str, str]]:
    """Judge the plugin that obeys, called or found, and all that break a rule; "" obeys."""
    cases: list[Case] = [
        ("", Profile.V1_36, False),
        *(("", profile, True) for profile in JUDGES),
        *((way, Profile.V1_36, False) for way in ("flood", "refuses")),
        *((rule, Profile.V1_36, rule == "C23") for rule in ["C1", *ALONE]),
    ]

    async def all_of_them() -> dict[Case, dict[str, str]]:
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(case: Case) -> dict[str, str]:
            rule, profile, found = case
            async with turns:
                return await outcomes(subject(rule, found=found), profile)

        return dict(zip(cases, await asyncio.gather(*map(one, cases)), strict=True))

    return asyncio.run(all_of_them())


def settled(judged: dict[Case, dict[str, str]], case: Case, broken: set[str]) -> dict[str, str]:
    """Return what was found; limits in seconds judge the machine too: a surprise is judged again.

    Alone this time, and once.
    """
    rule, profile, found = case
    if bad(judged[case]) != broken:
        judged[case] = asyncio.run(outcomes(subject(rule, found=found), profile))
    return judged[case]


@pytest.mark.timeout(240)
def test_a_plugin_that_obeys_breaks_nothing(judged: dict[Case, dict[str, str]]) -> None:
    """Every rule is judged, but that for plugins which do not call the kubelet."""
    found = settled(judged, ("", Profile.V1_36, False), set())
    assert found == dict.fromkeys(RULES, "held") | {"C23": "not judged"}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("rule", ALONE)
def test_a_broken_rule_is_found_and_no_other(rule: str, judged: dict[Case, dict[str, str]]) -> None:
    """The others are judged on a plugin that is mended."""
    case = rule, Profile.V1_36, rule == "C23"
    assert bad(settled(judged, case, {rule})) == {rule}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("profile", JUDGES)
def test_a_plugin_that_is_found_is_judged_by_the_same_rules(
    profile: Profile, judged: dict[Case, dict[str, str]]
) -> None:
    """And by the one about being found; by newer kubelets, too."""
    assert settled(judged, ("", profile, True), set()) == dict.fromkeys(RULES, "held")


@pytest.mark.timeout(240)
def test_a_plugin_that_registers_before_it_serves_is_found(
    judged: dict[Case, dict[str, str]],
) -> None:
    """Nothing else can be judged then."""
    found = dict(judged["C1", Profile.V1_36, False])
    assert found.pop("C1") == "broken"
    assert set(found.values()) == {"not judged"}


@pytest.mark.timeout(240)
def test_a_plugin_that_floods_is_judged(judged: dict[Case, dict[str, str]]) -> None:
    """It breaks one rule, and does not keep the others from being judged."""
    assert bad(settled(judged, ("flood", Profile.V1_36, False), {"C18"})) == {"C18"}


@pytest.mark.timeout(240)
def test_a_plugin_that_gives_nothing_away_is_judged(judged: dict[Case, dict[str, str]]) -> None:
    """What takes a pod cannot be; that Allocate fails is one rule's matter."""
    found = judged["refuses", Profile.V1_36, False]
    assert (found["C14"], found["C12"]) == ("broken", "not judged")


@pytest.mark.timeout(60)
async def test_a_limit_is_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that comes after 6 s on a machine of a third of its speed would after 2 s."""
    monkeypatch.setattr(patience, "slowness", lambda: 3.0)
    async with opened(subject("late"), Profile.V1_36) as stage:
        await stage.listed()
        seconds = await checks_life.stream_is_lost(stage)
        assert seconds is not None
        assert seconds > 5


@pytest.mark.timeout(60)
async def test_a_plugin_that_does_not_end_is_found_and_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing of it is left."""
    monkeypatch.setattr(plugin, "END_SECONDS", 1.0)
    assert bad(await outcomes(subject("C19"))) == {"C19"}
    assert not [p for p in psutil.Process().children(recursive=True) if "C19" in p.cmdline()]


@pytest.mark.timeout(60)
async def test_a_plugin_that_answers_garbage_is_reported_in_time(tmp_path: Path) -> None:
    """The kubelet dials it for 10 s."""
    script = tmp_path / "garbage.py"
    script.write_text(GARBAGE)
    verdicts = [
        verdict
        async for verdict in judge(Subject(f"{sys.executable} {script} {{dir}}"), Profile.V1_36)
    ]
    assert verdicts[0].outcome == "broken"
    assert "the kubelet refuses it: failed to dial" in verdicts[0].detail


async def test_a_plugin_that_runs_is_judged_by_its_socket() -> None:
    """Rules about its process are left out, and nothing happens to it."""
    with tempfile.TemporaryDirectory(prefix="np", dir="/tmp") as folder:
        process = await asyncio.create_subprocess_exec(
            *shlex.split(ANY.format(dir=folder)), stderr=asyncio.subprocess.DEVNULL
        )
        try:
            async with Kubelet(Path(folder)) as kubelet:
                await kubelet.until(lambda: kubelet.capacity("example.com/any") is not None)
                [socket] = Path(folder).glob("any-*.sock")
                found = await outcomes(Subject(socket=socket))
                assert process.returncode is None
        finally:
            process.kill()
            await process.wait()
    judged = {"C1", "C9", "C10", "C11", "C13", "C14", "C15", "C16", "C18", "C22"}
    assert {number for number, outcome in found.items() if outcome == "held"} == judged
    assert not bad(found)


@timed
@pytest.mark.parametrize(
    ("words", "seen"),
    [
        ("sleep 60", "nothing registers within 1 s"),
        ("false", "the plugin has ended with code 1"),
        ("sh -c 'head -c 10000000 /dev/urandom; sleep 60'", "nothing registers"),
    ],
)
async def test_a_plugin_that_never_comes_is_reported_in_time(
    words: str, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it does instead; its processes and files are gone afterwards."""
    folders: list[str] = []

    def made(prefix: str, dir: str) -> str:  # noqa: A002 - as tempfile has it
        folders.append(mkdtemp(prefix=prefix, dir=dir))
        return folders[-1]

    mkdtemp = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", made)
    started = time.monotonic()
    unborn = Subject(f"{words} # {{dir}}", patience=1.0)
    verdicts = [v async for v in judge(unborn, Profile.V1_36)]
    assert seen in verdicts[0].detail
    assert time.monotonic() - started < on_this_machine(10)
    assert [Path(folder).exists() for folder in folders] == [False]


def test_a_plugin_without_a_placeholder_sees_the_usual_path() -> None:
    """In a mount namespace of its own."""
    places = Places(Path("/tmp/x"), Path("/tmp/y"))
    words = plugin.PluginProcess("any --flag", places, Path("/tmp/log")).words
    assert words[:3] == ["unshare", "--mount", "--propagation"]
    assert words[-2:] == ["any", "--flag"]
    require(os.geteuid() == 0, "mounting needs root")
    with tempfile.TemporaryDirectory() as folder:
        places = Places(Path(folder) / "it's one", Path(folder) / "another")
        for place, mark in zip(places, ("one", "two"), strict=True):
            place.mkdir()
            (place / mark).touch()
        command = f"ls {PLUGIN_DIR} {PLUGIN_REGISTRY}"
        listing = plugin.PluginProcess(command, places, Path(folder)).words
        shown = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
    assert [line for line in shown.split() if ":" not in line] == ["one", "two"]


def test_the_usual_path_is_made_for_the_plugin_alone(tmp_path: Path) -> None:
    """A machine without a kubelet stays one, and what is beside the path is seen as it is."""
    require(can_mount_in_namespace(), "mounting needs root")
    above = tmp_path / "above"
    (above / "folder").mkdir(parents=True)
    (above / "folder/deep").touch()
    (above / "file").write_text("content\n")
    (above / "link").symlink_to("file")
    own = tmp_path / "own"
    own.mkdir()
    (own / "mark").touch()
    at = above / "missing/plugins"
    look = f"cat {above}/link; ls {above}/folder {at}; test -w {above}/folder"
    words = in_namespace(["sh", "-ec", look], {str(at): own})
    seen = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert [line for line in seen.split() if ":" not in line] == ["content", "deep", "mark"]
    assert not (above / "missing").exists()


@pytest.mark.timeout(60)
def test_nothing_is_left_of_a_judgement_that_is_ended(tmp_path: Path) -> None:
    """SIGTERM takes the plugin along, and the folder of the kubelet."""
    started = tmp_path / "started"
    script = f"echo $$ {{dir}} > {started}.new && mv {started}.new {started} && sleep 60"
    words = ("conformance", "--command", f"sh -c '{script}'", "--seconds", "60")
    with subprocess.Popen([sys.executable, "-m", "nodeplug", *words]) as running:
        try:
            while not started.exists():
                assert running.poll() is None
                time.sleep(0.01)
            running.terminate()
            assert running.wait() == 128 + signal.SIGTERM
        finally:
            running.kill()
    number, folder = started.read_text().split()
    assert not psutil.pid_exists(int(number))
    assert not Path(folder).parent.exists()


@pytest.mark.parametrize("words", ["no-such-command {dir}", "sleep '60 {dir}"])
def test_a_command_that_cannot_be_started_is_a_usage_error(words: str) -> None:
    """One line that names it, and exit 2."""
    result = nodeplug("conformance", "--command", words)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert words in result.err


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
