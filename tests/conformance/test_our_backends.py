"""Our own backends keep every rule, under all kubelets and registered either way."""

import asyncio
import itertools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nodeplug.backend import BackendSpec, Simulator
from nodeplug.conformance.judge import judge
from nodeplug.conformance.rules import RULES
from nodeplug.conformance.subject import Subject
from nodeplug.conformance.verdicts import Verdict
from nodeplug.loader import installed, load_each
from nodeplug.testing import Profile
from support.awkward.backend import SPEC as AWKWARD
from support.command import environment
from support.packages import install

RUNNER = Path(__file__).with_name("our_agent.py")
# Tells the simulator, in the test's own process, what to do.
TELL = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); \
s.sendall(sys.argv[2].encode()); s.recv(1)"
AT_ONCE = 5

pytestmark = pytest.mark.xdist_group("our backends")

Case = tuple[str, Profile, bool]
LOADED = load_each(installed()).values()
BACKENDS = {spec.name: spec for spec in LOADED if isinstance(spec, BackendSpec)}
CASES: list[Case] = [
    *itertools.product(BACKENDS, (Profile.OLDEST, Profile.NEWEST), (False, True)),
    ("awkward", Profile.V1_36, False),
]


@asynccontextmanager
async def told(simulator: Simulator, socket: Path) -> AsyncGenerator[None, None]:
    """Let others tell a simulator to lose a device, and to have it again."""

    async def obey(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        word = await reader.read(20)
        simulator.lose() if word == b"lose" else simulator.recover()
        writer.write(b".")
        writer.close()

    async with await asyncio.start_unix_server(obey, socket):
        yield


async def verdicts(name: str, profile: Profile, *, found: bool) -> list[Verdict]:
    """Judge a backend on its simulated hardware, with preferences for its resource."""
    folder = Path(tempfile.mkdtemp(prefix="npo", dir="/tmp"))
    try:
        return await _verdicts(folder, name, profile, found=found)
    finally:
        shutil.rmtree(folder)


async def _verdicts(folder: Path, name: str, profile: Profile, *, found: bool) -> list[Verdict]:
    host = folder / "host"
    host.mkdir()
    simulator = (BACKENDS | {"awkward": AWKWARD})[name].simulator(host)
    content = {
        "kubelet": {"podResourcesSocket": str(folder / "none.sock")},
        "host": {"root": str(host), "uevents": str(host / "uevents.sock"), "ledgerDir": ""},
        "metrics": {"enabled": False},
        "cdi": {"specDir": str(folder / "cdi")},
        "offers": [{"resource": simulator.resource, "policy": "packed"}],
        "backends": {name: simulator.settings},
    }
    config = folder / "nodeplug.json"
    config.write_text(json.dumps(content))
    words = f"{sys.executable} {RUNNER} {config} {name} {{dir}} {'{registry}' if found else ''}"
    tell = f"{sys.executable} -c '{TELL}' {folder}/tell.sock"
    subject = Subject(words, change=f"{tell} lose", undo=f"{tell} recover")
    async with told(simulator, folder / "tell.sock"):
        return [verdict async for verdict in judge(subject, profile)]


@pytest.fixture(name="judged", scope="module")
def _judged() -> dict[Case, list[Verdict]]:
    """Judge them all, some at a time: it is mostly waiting."""

    async def all_of_them() -> dict[Case, list[Verdict]]:
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(case: Case) -> list[Verdict]:
            name, profile, found = case
            async with turns:
                first = await verdicts(name, profile, found=found)
                if all(each.outcome != "broken" for each in first):
                    return first
                # What the machine was busy with may have gone; what is wrong has not.
                return await verdicts(name, profile, found=found)

        return dict(zip(CASES, await asyncio.gather(*map(one, CASES)), strict=True))

    with tempfile.TemporaryDirectory() as site, pytest.MonkeyPatch.context() as patch:
        install(Path(site), "awkward", "from support.awkward.backend import nodeplug_backend\n")
        patch.setitem(os.environ, "PYTHONPATH", environment(Path(site))["PYTHONPATH"])
        return asyncio.run(all_of_them())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_backend_breaks_no_rule(case: Case, judged: dict[Case, list[Verdict]]) -> None:
    """Those that it should keep as little as those that it must."""
    assert [v for v in judged[case] if v.outcome == "broken"] == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_backend_is_judged_by_every_rule(case: Case, judged: dict[Case, list[Verdict]]) -> None:
    """But those about what it does not ask for: to be found, or to prepare devices."""
    name, _, found = case
    beside = {"C16"} if name != "awkward" else set()
    beside |= set() if found else {"C23"}
    held = {verdict.number for verdict in judged[case] if verdict.outcome == "held"}
    assert held == RULES.keys() - beside
