"""The processes that speak to the API server for the agent: nobody adds code to them."""

import sys
from pathlib import Path

import pytest

from nodeplug.operations.cluster.courier import Call, Courier
from nodeplug.operations.cluster.helper import start
from nodeplug.values.errors import ClusterError
from support.api_server import api_server
from support.limited import with_memory

# What is on the way to the helper's own imports: of the standard library, of ours, of Python's.
PLANTED = ("ssl", "json", "sitecustomize", "usercustomize", "nodeplug")


def plant(folder: Path) -> Path:
    """Leave modules in a folder that tell that they were imported."""
    folder.mkdir()
    told = folder / "told"
    for name in PLANTED:
        (folder / f"{name}.py").write_text(f"open({str(told)!r}, 'a').write({name!r})\n")
    return told


@pytest.mark.parametrize("way", ["folder", "PYTHONPATH"])
async def test_no_module_from_where_the_agent_was_started_is_imported(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A helper has the agent's rights on the node and at the API server."""
    told = plant(tmp_path / "planted")
    if way == "folder":
        monkeypatch.chdir(told.parent)
    else:
        monkeypatch.setenv("PYTHONPATH", str(told.parent))
    with api_server(tmp_path) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        [reply] = await Courier(server.account).send([Call("GET", "/api/v1/nodes/a")])
    assert reply.good
    assert not told.exists()


@pytest.mark.parametrize("module", ["client", "follower"])
async def test_a_helper_knows_where_the_api_server_is_and_nothing_else(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the agent's environment nor its folder."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.1")
    monkeypatch.setenv("PASSWORD", "of the agent")
    process = await start(module, "/nowhere", "node-1", "key", "99")
    own = Path(f"/proc/{process.pid}")
    names = {each.partition(b"=")[0] for each in (own / "environ").read_bytes().split(b"\0")}
    folder = (own / "cwd").readlink()
    process.kill()
    await process.communicate()
    assert names - {b"", b"KUBERNETES_SERVICE_PORT"} == {b"KUBERNETES_SERVICE_HOST"}
    assert folder == Path("/")


@pytest.mark.parametrize("mebibytes", [1, 4, 6, 8, 12, 16, 20, 24, 28])
async def test_without_memory_a_helper_s_end_is_one_line(
    mebibytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it ends: in the loader, in Python's own start, in its imports, in its work."""
    monkeypatch.setattr(sys, "executable", with_memory(1024 * mebibytes, tmp_path))
    with pytest.raises(ClusterError) as caught:
        await Courier(Path("/nowhere")).send([Call("GET", "/")])
    assert str(caught.value).isprintable()


async def test_without_processes_for_helpers_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where the node has no memory for another."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ClusterError, match="no process can be started: "):
        await Courier(Path("/nowhere")).send([Call("GET", "/")])
