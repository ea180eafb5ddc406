"""CDI files as container runtimes read them: by the official library, in several versions."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from nodeplug.cdi.spec import kind_of
from nodeplug.cdi.store import SpecStore
from nodeplug.host.root import HostRoot
from nodeplug.offers import Offer, OfferedDevice, OfferRule
from nodeplug.values.device import Device
from nodeplug.values.edits import ContainerEdits, DeviceNode, Hook, Mount
from readers.program import VERSIONS, readings
from support.backends_stage import MAJOR, backends_stage
from support.needs import require

# Kubernetes, qualified names: what a resource may be called after its domain.
NAMES = ["gpu", "x", "1", "9port", "a.b", "a_b", "A", "a--b", "mig-1g.10gb", "g" * 63, "x.y-z_0"]
ODD = ("é ☃ 😀 \U0010fffd", "\x01\t\x7f\x85\u2028\ufeff\uffff", "a=b, 'c' \"d\" \\ / #")
EVERYTHING = ContainerEdits(
    nodes=(DeviceNode("/dev/null", "/dev/given", "rw"),),
    mounts=(Mount("/usr/lib", "/lib/given"), Mount("/tmp", read_only=False)),
    hooks=(Hook("createContainer", "/bin/true", ("true", *ODD), ("A=b",)),),
)


def describe(folder: Path, name: str, edits: ContainerEdits = EVERYTHING) -> str:
    """Write the file of a resource; return the name of its one device."""
    resource = f"example.com/{name}"
    device = Device(id="one", resource=resource, edits=edits)
    offer = Offer(resource, (OfferedDevice("one", device),), inject="cdi")
    assert SpecStore(folder, "test").reconcile({resource: offer}, None) == {}
    return f"{kind_of(resource)}=one"


def read(command: str, folder: Path, version: str, *names: str) -> Any:
    [found] = readings(command, [" ".join([str(folder), *names])], version)
    assert "error" not in found, found["error"]
    return found["value"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_container_becomes_what_the_edits_say(tmp_path: Path, version: str) -> None:
    """With texts of all kinds of characters."""
    device = describe(tmp_path, "gpu")
    container = read("inject", tmp_path, version, device)
    [node] = container["linux"]["devices"]
    [hook] = container["hooks"]["createContainer"]
    assert (node["path"], node["major"], node["minor"]) == ("/dev/given", 1, 3)
    assert container["linux"]["resources"]["devices"] == [
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rw"}
    ]
    assert {(m["source"], m["destination"], m["options"][0]) for m in container["mounts"]} == {
        ("/usr/lib", "/lib/given", "ro"),
        ("/tmp", "/tmp", "rw"),
    }
    assert hook == {"path": "/bin/true", "args": ["true", *ODD], "env": ["A=b"]}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_node_has_the_mode_and_group_of_the_host(tmp_path: Path, version: str) -> None:
    """As where the kubelet names it: who is in the group may open it, and nobody else."""
    require(os.geteuid() == 0, "making device nodes needs root")
    (tmp_path / "dev").mkdir()
    (tmp_path / "cdi").mkdir()
    os.mknod(tmp_path / "dev/port", stat.S_IFCHR, os.makedev(MAJOR, 1))
    (tmp_path / "dev/port").chmod(0o660)
    os.chown(tmp_path / "dev/port", 0, 20)
    device = Device(
        id="one", resource="a.b/c", edits=ContainerEdits(nodes=(DeviceNode("/dev/port"),))
    )
    offer = Offer("a.b/c", (OfferedDevice("one", device),), inject="cdi")
    store = SpecStore(tmp_path / "cdi", "test", root=HostRoot(tmp_path))
    assert store.reconcile({"a.b/c": offer}, None) == {}
    [found] = readings("inject", [f"/cdi {kind_of('a.b/c')}=one"], version, root=tmp_path)
    [node] = found["value"]["linux"]["devices"]
    assert (oct(node["fileMode"]), node["gid"]) == ("0o660", 20)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", NAMES)
def test_a_resource_of_any_name_has_a_kind_that_is_read(
    tmp_path: Path, name: str, version: str
) -> None:
    """Whatever Kubernetes allows."""
    device = describe(tmp_path, name)
    assert read("list", tmp_path, version) == [device]


@pytest.mark.parametrize("backend", ["custom", "intel_fpga", "nvidia_gpu", "sriov_net"])
async def test_the_files_of_each_backend_are_read(backend: str) -> None:
    """Those for its simulated hardware, each device of which has an entry."""
    async with backends_stage() as play:
        simulator = play.simulator(backend)
        rule = OfferRule(resource=simulator.resource, inject="cdi")
        play.start({backend: simulator.settings}, rule)
        await play.kubelet.until(lambda: bool(play.health(simulator.resource)))
        wanted = {f"{kind_of(simulator.resource)}={i}" for i in play.health(simulator.resource)}
        for version in VERSIONS:
            assert set(read("list", play.directory.with_name("cdi"), version)) == wanted
