"""What keeps the agent small takes nothing away from libraries."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.agent_node import node
from support.stage import BOARD


@pytest.mark.parametrize(
    ("name", "loaded"), [("Self", False), ("get_type_hints", False), ("deprecated", True)]
)
def test_names_that_typing_lacks_come_from_the_true_module(name: str, *, loaded: bool) -> None:
    """And only those load it."""
    code = (
        "import sys; from nodeplug.cli.lean import slim; slim();"
        f"from typing_extensions import {name}; assert {name};"
        "print(hasattr(sys.modules['typing_extensions'], '__file__'))"
    )
    run = (sys.executable, "-c", code)
    result = subprocess.run(run, capture_output=True, text=True, check=True)
    assert result.stdout == f"{loaded}\n"


def test_protobuf_works_compiled_and_in_python() -> None:
    """What is put off comes where it is needed."""
    code = (
        "from nodeplug.cli.lean import slim; slim();"
        "from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api;"
        "data = api.ListAndWatchResponse(devices=[api.Device(ID='a')]).SerializeToString();"
        "print(api.ListAndWatchResponse.FromString(data).devices[0].ID)"
    )
    for kind in ("upb", "python"):
        environment = os.environ | {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": kind}
        run = (sys.executable, "-c", code)
        done = subprocess.run(run, capture_output=True, text=True, check=True, env=environment)
        assert done.stdout == "a\n"


async def test_an_agent_that_serves_has_not_loaded_archives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Some 0.6 MiB that `ctypes.util` imports and does not use where there is ldconfig."""
    async with node(monkeypatch, {"awkward": {}}) as on:
        await on.listed(BOARD, 4)
        maps = Path(f"/proc/{on.agent.pid}/maps").read_text()
    assert [line for line in maps.splitlines() if "liblzma" in line or "libbz2" in line] == []


def test_what_is_put_off_finds_libraries() -> None:
    """By gcc, too, where there is no ldconfig."""
    code = (
        "from nodeplug.cli.lean import slim; slim();"
        "import ctypes.util as util; util._findSoname_ldconfig = lambda name: None;"
        "util.find_library('c');"
        "import shutil, tempfile; print(shutil.which('sh') is not None, tempfile.gettempdir())"
    )
    run = (sys.executable, "-c", code)
    result = subprocess.run(run, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("True /")


async def test_an_agent_that_serves_has_not_loaded_openssl(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decision 0003: some 4 MiB, by way of ssl or hashlib, for a daemon that speaks locally."""
    async with node(monkeypatch, {"awkward": {}}) as on:
        await on.listed(BOARD, 4)
        maps = Path(f"/proc/{on.agent.pid}/maps").read_text()
    assert [line for line in maps.splitlines() if "libcrypto" in line or "libssl" in line] == []
