"""A container is the same whatever way its devices are injected: the CDI library is the judge."""

import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nodeplug.offers import Injection, OfferRule
from nodeplug.testing import Pod
from nodeplug.testing.kubelet.pods import ContainerRun
from readers.program import VERSIONS, readings
from support.backends_stage import MAJOR, Play, Sections, backends_stage, custom, files
from support.needs import require

LOOP = "example.com/loop"
BACKENDS = ("custom", "intel_fpga", "nvidia_gpu", "sriov_net", "joined")
WAYS: tuple[Injection, ...] = ("cdi", "cdi-annotations")


class Container(NamedTuple):
    """What a container is: nodes and mounts by their place in it, each with what is there."""

    nodes: Mapping[str, tuple[int, str]]
    mounts: Mapping[str, tuple[str, bool]]
    envs: Mapping[str, str]
    annotations: Mapping[str, str]


class Host:
    """A root directory with every node and file that the answers of a stage name."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self._minors: dict[str, int] = {}

    def minor(self, path: str) -> int:
        """Return the number of a node, which is made."""
        if path not in self._minors:
            place = self.root / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            self._minors[path] = len(self._minors)
            os.mknod(place, stat.S_IFCHR | 0o600, os.makedev(MAJOR, self._minors[path]))
        return self._minors[path]


async def started(play: Play, backend: str, inject: Injection, replicas: int) -> str:
    """Start an agent; return the resource that it offers in that way."""
    sections, resource = _sections(play, backend)
    play.start(sections, OfferRule(resource=resource, inject=inject, replicas=replicas))
    await play.kubelet.until(lambda: play.allocatable(resource) > 1)
    return resource


def _sections(play: Play, backend: str) -> tuple[Sections, str]:
    if backend != "joined":
        simulator = play.simulator(backend)
        return {backend: simulator.settings}, simulator.resource
    for minor in range(3):
        play.node(f"/dev/loop{minor}", minor)
    entry = files(
        LOOP,
        "/dev/loop*",
        env={"LOOPS": "{path}", "FIXED": "1"},
        annotations={"example.com/loops": "{path}", "example.com/fixed": "1"},
        mounts=[{"hostPath": "/etc/loop", "readOnly": False}, {"hostPath": "/usr/share/loop"}],
    )
    return custom(entry), LOOP


@asynccontextmanager
async def given(backend: str, inject: Injection, count: int, replicas: int) -> Any:
    """Give what a container gets, and the directory with CDI files."""
    async with backends_stage() as play:
        resource = await started(play, backend, inject, replicas)
        [run] = (await play.kubelet.admit(Pod.of({resource: count}))).values()
        yield run, play.directory.with_name("cdi")


def container(host: Host, run: ContainerRun, described: Mapping[str, Any]) -> Container:
    """Return the container of an answer, and of what the library makes of the names in it."""
    nodes = {
        d.container_path: (host.minor(d.host_path), d.permissions) for d in run.devices.values()
    }
    mounts = {m.container_path: (m.host_path, m.read_only) for m in run.mounts.values()}
    nodes |= dict(_nodes(described))
    for mount in described.get("mounts", ()):
        mounts[mount["destination"]] = mount["source"], "ro" in mount["options"]
    assert "process" not in described
    kept = {k: v for k, v in run.annotations.items() if not k.startswith("cdi.k8s.io/")}
    return Container(nodes, mounts, run.envs, kept)


def _nodes(spec: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, str]]]:
    rules = spec.get("linux", {}).get("resources", {}).get("devices", ())
    access = {rule["minor"]: rule["access"] for rule in rules}
    for node in spec.get("linux", {}).get("devices", ()):
        yield node["path"], (node["minor"], access[node["minor"]])


def names(run: ContainerRun) -> list[str]:
    marked = [v for k, v in run.annotations.items() if k.startswith("cdi.k8s.io/")]
    return [*run.cdi_devices, *(name for value in marked for name in value.split(","))]


def described(host: Host, run: ContainerRun, folder: Path) -> Mapping[str, Any]:
    """Return what the library makes of the names, on a host that has all nodes."""
    shutil.copytree(folder, host.root / "cdi")
    for file in folder.iterdir():
        for path in re.findall('"hostPath": "(/dev/[^"]+)"', file.read_text()):
            host.minor(path)
    return injected(host.root, names(run))


def injected(root: Path, wanted: Sequence[str]) -> Mapping[str, Any]:
    """Return what a container becomes by devices that /cdi of a root directory describes."""
    [found] = readings("inject", [" ".join(["/cdi", *wanted])], max(VERSIONS), root=root)
    assert "error" not in found, found["error"]
    spec: Mapping[str, Any] = found["value"]
    return spec


@pytest.mark.parametrize("inject", WAYS)
@pytest.mark.parametrize(("count", "replicas"), [(1, 1), (2, 1), (1, 3)], ids=["1", "2", "shared"])
@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_container_is_the_same_whatever_the_way(
    tmp_path: Path, backend: str, count: int, replicas: int, inject: Injection
) -> None:
    """Environment, annotations, mounts and nodes with their permissions."""
    require(os.geteuid() == 0, "making device nodes needs root")
    host = Host(tmp_path)
    async with given(backend, "devices", count, replicas) as (run, _):
        wanted = container(host, run, {})
    async with given(backend, inject, count, replicas) as (run, folder):
        assert names(run)
        found = container(host, run, described(host, run, folder))
    assert found == wanted
    assert found.nodes
