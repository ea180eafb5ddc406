"""Faults of a node: how each is made, and what the doctor must say of it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NamedTuple

from nodeplug.backend import Finding, HostMount
from nodeplug.host.files import FileLock
from nodeplug.kubelet.evidence import CHECKPOINT
from nodeplug.kubelet.sockets import HOME
from nodeplug.loader import load_each
from nodeplug.values.device import Device
from nodeplug.values.edits import ContainerEdits, DeviceNode
from nodeplug.values.errors import LoadError
from support.awkward.state import State, state_file
from support.stage import BOARD
from support.ward import Ward, dead_socket

LAMP = "lamps.example.com/lamp"


def _specification(kind: str, *names: str) -> str:
    return json.dumps({"kind": kind, "devices": [{"name": name} for name in names]})


async def no_directory(node: Ward) -> None:
    node.document["kubelet"]["devicePluginDir"] = str(node.folder / "none")


async def long_directory(node: Ward) -> None:
    folder = node.folder / ("x" * 80)
    folder.mkdir()
    node.document["kubelet"]["devicePluginDir"] = str(folder)


async def no_kubelet(node: Ward) -> None:
    await node.play.kubelet.stop(unlink=True)


async def dead_kubelet(node: Ward) -> None:
    await node.play.kubelet.stop()


async def hung_kubelet(node: Ward) -> None:
    await node.play.kubelet.stop(unlink=True)
    node.listen(node.play.directory / "kubelet.sock")


async def no_pod_resources(node: Ward) -> None:
    node.document["kubelet"]["podResourcesSocket"] = str(node.folder / "none.sock")


async def dead_pod_resources(node: Ward) -> None:
    dead_socket(node.folder / "dead.sock")
    node.document["kubelet"]["podResourcesSocket"] = str(node.folder / "dead.sock")


async def open_socket(node: Ward) -> None:
    next((node.play.directory / HOME).glob("*/*.sock")).chmod(0o666)


async def open_directory(node: Ward) -> None:
    node.play.directory.chmod(0o777)


async def broken_checkpoint(node: Ward) -> None:
    (node.play.directory / CHECKPOINT).write_text("{")


async def stale_instance(node: Ward) -> None:
    dead_socket(node.play.directory / HOME / "deadbeef/.1.sock")
    (node.play.directory / HOME / "deadbeef/lock").touch()


async def deaf_instance(node: Ward) -> None:
    dead_socket(node.play.directory / HOME / "deadbeef/.1.sock")
    lock = FileLock(node.play.directory / HOME / "deadbeef/lock")
    assert lock.try_acquire()
    node.opened.callback(lock.release)


async def no_ledger(node: Ward) -> None:
    node.document["host"]["ledgerDir"] = str(node.process / "status" / "ledger")


async def ledger_is_a_file(node: Ward) -> None:
    node.document["host"]["ledgerDir"] = str(node.process / "status")


async def open_ledger(node: Ward) -> None:
    node.ledger.chmod(0o777)


async def ledger_on_a_disk(node: Ward) -> None:
    node.mounts(ledger="ext4")


async def full_ledger(node: Ward) -> None:
    node.document["host"]["ledgerDir"] = "/proc/self"  # takes no files from anybody


async def ledger_of_the_container(node: Ward) -> None:
    folder = node.folder / "own"
    folder.mkdir()
    node.mounts("1 0 0:1 / / rw - overlay overlay rw")
    node.document["host"]["ledgerDir"] = str(folder)


async def unknown_backend(node: Ward) -> None:
    node.broken += [e for e in load_each(["nope"]).values() if isinstance(e, LoadError)]


async def no_hardware(node: Ward) -> None:
    state_file(node.play.host).unlink()


async def own_finding(node: Ward) -> None:
    found = Finding("problem", "lamp 7", "is dark", "change it")
    node.spec = replace(node.spec, checks=lambda _settings, _root: [found])


async def failing_checks(node: Ward) -> None:
    node.spec = replace(node.spec, checks=lambda _settings, _root: [1 / 0])  # type: ignore[list-item]


async def crashing_backend(node: Ward) -> None:
    node.play.set(State(crash=True))


async def sick_devices(node: Ward) -> None:
    node.play.set(State(sick=("awk-board-1", "awk-board-2")))


async def odd_device(node: Ward) -> None:
    node.play.set(State(odd=("awk-board-1",)))


async def broken_section(node: Ward) -> None:
    node.document["backends"] = {"awkward": {"domain": [5]}}


async def idle_rule(node: Ward) -> None:
    node.document["offers"] = [{"resource": LAMP, "replicas": 2}]


async def unknown_node(node: Ward) -> None:
    node.document["nodes"] = [{"names": ["worker-*"]}]


async def no_node_name(node: Ward) -> None:
    node.document["cluster"] = {"quarantineAnnotation": "example.com/quarantine"}
    node.node_name = ""


async def no_token(node: Ward) -> None:
    node.document["cluster"] = {"removeTaint": "example.com/starting"}
    (node.account / "token").unlink()


async def no_cdi_directory(node: Ward) -> None:
    node.document["offers"] = [{"resource": BOARD, "inject": "cdi"}]
    node.play.cdi_dir.write_text("a file in its place")


async def broken_specification(node: Ward) -> None:
    node.play.cdi_dir.mkdir()
    (node.play.cdi_dir / "vendor.json").write_text("{")


async def duplicate_specification(node: Ward) -> None:
    for name in ("one", "two"):
        node.file(f"/etc/cdi/{name}.yaml", _specification("vendor.com/gpu", "0"))


async def stale_specification(node: Ward) -> None:
    node.play.cdi_dir.mkdir()
    file = node.play.cdi_dir / "nodeplug-awkward-x.json"
    file.write_text(_specification("nodeplug.example.com/x", "gone"))


async def no_feature_directory(node: Ward) -> None:
    node.document["labels"] = {"enabled": True, "featureDir": "/features.d"}


async def unwritable_feature_directory(node: Ward) -> None:
    await no_feature_directory(node)
    node.file("/features.d")


async def foreign_port(node: Ward) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    node.opened.push_async_callback(server.wait_closed)
    node.opened.callback(server.close)
    port = server.sockets[0].getsockname()[1]
    node.document["metrics"] = {"address": "127.0.0.1", "port": port}


async def no_capability(node: Ward) -> None:
    node.need(capabilities=["NET_ADMIN"])
    node.may(~(1 << 12) & (1 << 41) - 1)


async def not_privileged(node: Ward) -> None:
    node.need(privileged=True)
    node.may(1 << 12)


async def other_network(node: Ward) -> None:
    node.need(host_network=True)
    link = node.play.host.path("/proc/1/ns/net")
    link.parent.mkdir(parents=True)
    link.symlink_to("net:[2]")


async def not_mounted(node: Ward) -> None:
    node.need(mounts=[HostMount("/lamps")])
    node.mounts("1 0 0:1 / / rw - overlay overlay rw")


async def mounted_read_only(node: Ward) -> None:
    node.need(mounts=[HostMount("/lamps", read_only=False)])
    place = node.play.host.root
    node.mounts("1 0 0:1 / / rw - ext4 x rw", f"2 1 0:1 / {place} ro,relatime - ext4 x rw")


async def mounted_apart(node: Ward) -> None:
    node.need(mounts=[HostMount("/lamps", propagation=True)])
    node.mounts("1 0 0:1 / / rw - ext4 x rw")


async def no_iommu(node: Ward) -> None:
    edits = ContainerEdits(nodes=(DeviceNode("/dev/vfio/7", "/dev/vfio/7"),))
    node.find(Device(id="lamp", resource=LAMP, edits=edits))


async def no_numa(node: Ward) -> None:
    for number in range(2):
        node.file(f"/sys/devices/system/node/node{number}/cpulist", "0")
    node.find(Device(id="lamp", resource=LAMP, location=("pci0000:00",)))


async def unknown_numa(node: Ward) -> None:
    node.file("/sys/devices/system/node/node0/cpulist", "0")


class Fault(NamedTuple):
    """How a fault is made, and what must be found: parts of a finding's texts."""

    make: Callable[[Ward], Awaitable[None]]
    severity: str
    subject: str
    finding: str


FAULTS = (
    Fault(no_directory, "problem", "/none", "is no directory"),
    Fault(long_directory, "problem", "xxx", "the limit is 107"),
    Fault(no_kubelet, "problem", "/kubelet.sock", "is not there"),
    Fault(dead_kubelet, "problem", "/kubelet.sock", "does not answer: Connection refused"),
    Fault(hung_kubelet, "problem", "/kubelet.sock", "does not answer: no answer within 2 s"),
    Fault(no_pod_resources, "warning", "/none.sock", "is not there"),
    Fault(dead_pod_resources, "warning", "/dead.sock", "does not answer: Connection refused"),
    Fault(open_socket, "warning", ".sock", "is open to others: 0666"),
    Fault(open_directory, "warning", "/dp", "is writable by everybody"),
    Fault(broken_checkpoint, "problem", CHECKPOINT, "is broken"),
    Fault(stale_instance, "warning", "/deadbeef", "ended and left 1 dead sockets"),
    Fault(deaf_instance, "problem", "/deadbeef", "an agent lives, with 1 dead sockets"),
    Fault(no_ledger, "problem", "/ledger", "is not there, nor can it be made"),
    Fault(ledger_is_a_file, "problem", "/status", "is no directory"),
    Fault(open_ledger, "warning", "/ledger", "is writable by others"),
    Fault(ledger_on_a_disk, "warning", "/ledger", "is on ext4, not on a tmpfs"),
    Fault(full_ledger, "problem", "/proc/self", "cannot be written"),
    Fault(ledger_of_the_container, "problem", "/own", "is the container's own"),
    Fault(unknown_backend, "problem", "backend", "'nope' is not installed"),
    Fault(no_hardware, "warning", "backend awkward", "sees no hardware"),
    Fault(own_finding, "problem", "lamp 7", "is dark"),
    Fault(failing_checks, "warning", "checks of backend awkward", "ZeroDivisionError"),
    Fault(crashing_backend, "problem", "backend awkward", "crashed on demand"),
    Fault(sick_devices, "problem", "awk-board-1, awk-board-2", "unhealthy: told to be sick"),
    Fault(odd_device, "warning", "board 1", "is not served by awkward: device awk-board-1: NUMA"),
    Fault(broken_section, "problem", "configuration", "backends.awkward.domain"),
    Fault(idle_rule, "warning", "offers[0]", f"no backend has a resource {LAMP}"),
    Fault(unknown_node, "warning", "configuration", "is left out, NODE_NAME not being set"),
    Fault(no_node_name, "problem", "NODE_NAME", "is not in the environment"),
    Fault(no_token, "problem", "/account", "holds no token"),
    Fault(no_cdi_directory, "problem", "/cdi", "is no directory"),
    Fault(broken_specification, "warning", "/cdi/vendor.json", "line 1"),
    Fault(duplicate_specification, "problem", "vendor.com/gpu=0", "one.yaml, two.yaml"),
    Fault(stale_specification, "warning", "/nodeplug-awkward-x.json", "no longer offered"),
    Fault(no_feature_directory, "warning", "/features.d", "nobody reads the labels"),
    Fault(unwritable_feature_directory, "problem", "/features.d", "is no directory"),
    Fault(foreign_port, "problem", "TCP port", "is in use by another program"),
    Fault(no_capability, "problem", "feature lamps", "lacks the capability NET_ADMIN"),
    Fault(not_privileged, "problem", "feature lamps", "needs a privileged container"),
    Fault(other_network, "problem", "feature lamps", "outside the host's network"),
    Fault(not_mounted, "problem", "feature lamps", "/lamps is the container's own"),
    Fault(mounted_read_only, "problem", "feature lamps", "/lamps is mounted read-only"),
    Fault(mounted_apart, "warning", "feature lamps", "mounts made later below"),
    Fault(no_iommu, "problem", "backend awkward", "there are no IOMMU groups"),
    Fault(no_numa, "warning", "backend awkward", "1 devices have no NUMA node"),
    Fault(unknown_numa, "warning", "backend awkward", "NUMA nodes [1], which the machine has not"),
)
