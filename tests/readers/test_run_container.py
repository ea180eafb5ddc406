"""What is in a container that a real runtime runs is the same whatever the way of its devices."""

import asyncio
import json
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from nodeplug.offers import Injection, OfferRule
from nodeplug.testing import Pod
from nodeplug.testing.kubelet.pods import ContainerRun
from readers.test_same_container import injected, names
from support.backends_stage import Play, backends_stage, custom, files
from support.needs import require

RUNC = shutil.which("runc", path=f"{os.environ['PATH']}:/usr/sbin") or "runc"
PORT = "example.com/port"
ENTRY = files(
    PORT,
    "/dev/port*",
    env={"PORTS": "{path}", "FIXED": "a b"},
    mounts=[{"hostPath": "/etc/ports", "readOnly": False}, {"hostPath": "/usr/share/ports"}],
)
LOOK = """
env | grep -E '^(PORTS|FIXED)='
for node in /dev/port*; do
    stat -c '%n %F %t:%T %a %u:%g' $node
    echo x 2>&1 >$node && echo written
done
while read -r _ _ _ _ path way _; do
    case $path in */ports) echo $path ${way%%,*};; esac
done </proc/self/mountinfo
cat /etc/ports/file /usr/share/ports/file
"""


async def seen(inject: Injection, *, user: int, count: int = 2) -> str:
    """Return what a container that has ports prints of itself, and what it may not do."""
    async with backends_stage() as play:
        _make(play)
        play.start(custom(ENTRY), OfferRule(resource=PORT, inject=inject))
        await play.listed(PORT, 2)
        [run] = (await play.kubelet.admit(Pod.of({PORT: count}))).values()
        assert bool(names(run)) == (inject != "devices")
        return await asyncio.to_thread(_run, play, run, user)


def _make(play: Play) -> None:
    for number in range(2):
        play.node(f"/dev/port{number}", 3 + 2 * number, major=1)
        (play.root / f"dev/port{number}").chmod(0o660)
        os.chown(play.root / f"dev/port{number}", 0, 20)
    for folder in ("etc/ports", "usr/share/ports"):
        (play.root / folder).mkdir(parents=True)
        (play.root / folder / "file").write_text(f"{folder}\n")


def _run(play: Play, run: ContainerRun, user: int) -> str:
    folder = Path(tempfile.mkdtemp(prefix="npr", dir="/tmp"))
    try:
        (folder / "rootfs").mkdir()
        document = _bundle(play.root, run, user, _described(play, run))
        (folder / "config.json").write_text(json.dumps(document))
        command = [RUNC, "run", "--bundle", str(folder), folder.name]
        done = _output(command)
    finally:
        shutil.rmtree(folder)
    return done


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _described(play: Play, run: ContainerRun) -> Mapping[str, Any]:
    if not names(run):
        return {}
    shutil.copytree(play.directory.with_name("cdi"), play.root / "cdi")
    return injected(play.root, names(run))


def _bundle(
    root: Path, run: ContainerRun, user: int, described: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a kubelet and a CRI runtime make of an answer, and of what is described."""
    mounts = [{"destination": "/proc", "type": "proc", "source": "proc"}]
    mounts += [{"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}]
    for path in ("/usr/bin", "/usr/lib", "/bin", "/lib", "/lib64"):
        mounts += [_bind(path, path, "ro")] if Path(path).exists() else []
    mounts += [
        _bind(f"{root}{m.host_path}", m.container_path, "ro" if m.read_only else "rw")
        for m in run.mounts.values()
    ]
    nodes = [_node(root, each.host_path, each.container_path) for each in run.devices.values()]
    rules = [_rule(each, run.devices[each["path"]].permissions) for each in nodes]
    if described:
        nodes += described["linux"]["devices"]
        rules += described["linux"]["resources"]["devices"]
        mounts += [{**m, "source": f"{root}{m['source']}"} for m in described["mounts"]]
    return {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {
            "user": {"uid": user, "gid": user, "additionalGids": [20]},
            "args": ["/bin/sh", "-c", LOOK],
            "env": ["PATH=/usr/bin:/bin", *(f"{k}={v}" for k, v in run.envs.items())],
            "cwd": "/",
        },
        "mounts": mounts,
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")],
            "devices": nodes,
            "resources": {"devices": [{"allow": False, "access": "rwm"}, *rules]},
        },
    }


def _bind(source: str, path: str, way: str) -> dict[str, Any]:
    return {
        "destination": path,
        "type": "bind",
        "source": source,
        "options": ["rbind", "rprivate", way],
    }


def _node(root: Path, host_path: str, path: str) -> dict[str, Any]:
    facts = (root / host_path.lstrip("/")).stat()
    return {
        "path": path,
        "type": "c",
        "major": os.major(facts.st_rdev),
        "minor": os.minor(facts.st_rdev),
        "fileMode": stat.S_IMODE(facts.st_mode),
        "uid": facts.st_uid,
        "gid": facts.st_gid,
    }


def _rule(node: Mapping[str, Any], access: str) -> dict[str, Any]:
    return {
        "allow": True,
        "type": "c",
        "major": node["major"],
        "minor": node["minor"],
        "access": access,
    }


@pytest.mark.parametrize("inject", ["cdi", "cdi-annotations"])
@pytest.mark.parametrize("user", [0, 1000], ids=["root", "another user"])
async def test_a_container_finds_the_same(inject: Injection, user: int) -> None:
    """By its own look, and by writing to its nodes."""
    require(shutil.which(RUNC) is not None, "there is no runc")
    require(os.geteuid() == 0, "containers are made by root")
    wanted = await seen("devices", user=user)
    assert await seen(inject, user=user) == wanted
    assert wanted.count("written") == 2
