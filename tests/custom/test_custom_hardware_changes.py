"""What happens to hardware while it is served."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nodeplug.host.socket_uevents import send_uevent
from nodeplug.host.uevents import Uevent
from nodeplug.values.device import Device
from nodeplug_custom.backend import CustomBackend
from nodeplug_custom.memory import Memory
from nodeplug_custom.plugin import SPEC
from support.custom_host import RESOURCE, Following, several, until
from support.hardware_tree import HardwareTree

USB = {"usb": {"vendor": "046d"}}


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> HardwareTree:
    return HardwareTree(tmp_path)


class Watched:
    def __init__(self, tree: HardwareTree, backend: CustomBackend, following: Following) -> None:
        self.tree = tree
        self.backend = backend
        self._following = following

    async def reaches(self, **healths: str) -> dict[str, Device]:
        """Wait until devices and reasons are these."""
        wanted = {name.replace("__", "-").replace("_", "-"): r for name, r in healths.items()}
        inventory = await until(
            self._following, lambda i: {n: d.reason for n, d in i.devices.items()} == wanted
        )
        return dict(inventory.devices)

    def tell(self, action: str, devpath: str, subsystem: str, **properties: str) -> None:
        event = Uevent(action, devpath, subsystem, "", properties)
        send_uevent(self.tree.socket, event)


@asynccontextmanager
async def watched(
    tree: HardwareTree, *hardware: dict[str, Any], memory: Memory | None = None, **more: Any
) -> AsyncIterator[Watched]:
    wanted = several({"name": RESOURCE, "hardware": list(hardware), **more})
    backend = CustomBackend(wanted, tree.host, memory or Memory())
    async with aclosing(Following(backend.inventories())) as following:
        yield Watched(tree, backend, following)


async def test_a_stick_that_is_pulled_is_sick_and_recovers_on_another_port(
    tree: HardwareTree,
) -> None:
    """Under its own id, for it has a serial number."""
    stick = tree.usb("1-2", serial="A1")
    async with watched(tree, USB) as play:
        await play.reaches(usb_046d_0825_A1="")
        tree.unplug(stick)
        play.tell("remove", stick, "usb")
        await play.reaches(usb_046d_0825_A1="not present")
        stick = tree.usb("1-4", serial="A1", number=9)
        play.tell("add", stick, "usb")
        [device] = (await play.reaches(usb_046d_0825_A1="")).values()
        assert device.edits.nodes[0].host_path == "/dev/bus/usb/001/009"


async def test_what_was_seen_is_remembered_over_a_reload(tree: HardwareTree) -> None:
    """A device that is gone does not vanish by it."""
    memory = Memory()
    stick = tree.usb("1-2", serial="A1")
    async with watched(tree, USB, memory=memory) as play:
        await play.reaches(usb_046d_0825_A1="")
    tree.unplug(stick)
    async with watched(tree, USB, memory=memory) as play:
        await play.reaches(usb_046d_0825_A1="not present")


async def test_a_set_stays_together_and_is_sick_while_one_is_missing(tree: HardwareTree) -> None:
    """No other set takes what is left of it."""
    for number, ids in enumerate(("0001:0001", "0001:0001", "0002:0002")):
        tree.usb(f"1-{number}", ids, serial=f"S{number}", number=number)
    members = [{"usb": {"vendor": "0001"}}, {"usb": {"vendor": "0002"}}]
    one = "set_usb_0001_0001_S0_usb_0002_0002_S2"
    async with watched(tree, sets=[{"members": members}]) as play:
        await play.reaches(**{one: ""})
        first = "/devices/pci0000:00/0000:00:14.0/usb1/1-0"
        tree.unplug(first)
        play.tell("remove", first, "usb")
        await play.reaches(**{one: "usb-0001-0001-S0 of the set is not present"})


async def test_an_error_of_the_pci_function_counts_until_it_is_overcome(
    tree: HardwareTree,
) -> None:
    """The kernel says both."""
    card = tree.vfio("0000:00:03.0", 12)
    async with watched(tree, {"pci": {"driver": "vfio-pci"}}) as play:
        name = "pci-0000:00:03.0"
        await play.reaches(**{name: ""})
        play.tell("change", card, "pci", ERROR_EVENT="BEGIN_RECOVERY")
        await play.reaches(**{name: "PCI function 0000:00:03.0 had an error"})
        play.tell("change", card, "pci", ERROR_EVENT="SUCCESSFUL_RECOVERY")
        await play.reaches(**{name: ""})


async def test_an_error_is_forgotten_when_events_were_lost(tree: HardwareTree) -> None:
    """The event that it is overcome may be among them."""
    card = tree.vfio("0000:00:03.0", 12)
    async with watched(tree, {"pci": {"driver": "vfio-pci"}}) as play:
        name = "pci-0000:00:03.0"
        await play.reaches(**{name: ""})
        play.tell("change", card, "pci", ERROR_EVENT="BEGIN_RECOVERY")
        await play.reaches(**{name: "PCI function 0000:00:03.0 had an error"})
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"garbage", str(tree.socket))
        await play.reaches(**{name: ""})


async def test_virtual_machines_find_their_hardware_by_name(tree: HardwareTree) -> None:
    """As KubeVirt names it, and as shells can, by the public name, all devices in order."""
    for number in (3, 4):
        tree.usb(f"1-{number}", serial=f"A{number}", number=number)
    async with watched(tree, USB) as play:
        devices = await play.reaches(usb_046d_0825_A3="", usb_046d_0825_A4="")
        edits = await play.backend.allocate("my.org/cam-x", [*devices.values()])
        names = ("USB_RESOURCE_MY_ORG_CAM-X", "USB_RESOURCE_MY_ORG_CAM_X")
        assert edits.envs == dict.fromkeys(names, "1:3,1:4")


def probe(**question: Any) -> dict[str, Any]:
    quick = {"intervalSeconds": 1, "timeoutSeconds": 1, "failures": 1}
    return USB | {"health": {"probe": question | quick}}


async def test_a_command_decides_about_health_and_recovery(tree: HardwareTree) -> None:
    """It is given what the device is."""
    tree.usb("1-2", serial="A1")
    mark = tree.folder / "A1.sick"
    mark.touch()
    code = "import os, sys; sys.exit(os.path.exists(sys.argv[1]) and 3)"
    command = [sys.executable, "-c", code, f"{tree.folder}/{{serial}}.sick"]
    async with watched(tree, probe(command=command)) as play:
        await play.reaches(usb_046d_0825_A1="probe failed: exit code 3")
        mark.unlink()
        await play.reaches(usb_046d_0825_A1="")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", ""),
        (b"HTTP/1.1 503 Busy\r\n\r\n", "probe failed: status 503"),
        (b"nonsense\r\n", "probe failed: status no answer of HTTP"),
        (None, "probe failed: no answer within 1 s"),
    ],
    ids=["well", "status", "nonsense", "silence"],
)
async def test_an_http_server_decides_about_health(
    tree: HardwareTree, answer: bytes | None, reason: str
) -> None:
    """Any 2xx is well."""
    tree.usb("1-2", serial="A1")

    over, ended = asyncio.Event(), asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer or b"")
        await (over.wait() if answer is None else asyncio.sleep(0))
        writer.close()
        await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, watched(tree, probe(http=f"http://127.0.0.1:{port}/ok")) as play:
        await play.reaches(usb_046d_0825_A1=reason)
        over.set()
        await ended.wait()


async def test_a_socket_that_accepts_is_well(tree: HardwareTree) -> None:
    """And one that is not there is not."""
    tree.usb("1-2", serial="A1")
    path = f"/tmp/np-probe-{os.getpid()}.sock"  # a socket's path is at most 107 bytes long
    async with watched(tree, probe(socket=path)) as play:
        await play.reaches(usb_046d_0825_A1="probe failed: No such file or directory")
        async with await asyncio.start_unix_server(lambda _, writer: writer.close(), path):
            await play.reaches(usb_046d_0825_A1="")
    Path(path).unlink(missing_ok=True)


async def test_explain_tells_what_nothing_matches_and_what_is_served_otherwise(
    tree: HardwareTree,
) -> None:
    """In the order of the configuration."""
    tree.usb("1-2", serial="A1")
    tree.char("/dev/a")
    (tree.folder / "dev/b").symlink_to("a")
    wanted = several(
        {"name": "example.com/a", "devices": [{"path": "/dev/a"}, {"path": "/dev/b"}]},
        {"name": "example.com/cam", "hardware": [USB]},
        {"name": "example.com/none", "hardware": [{"usb": {"vendor": "ffff"}}]},
    )
    assert SPEC.explain is not None
    shown = [(v.device, v.chosen, v.reason) for v in await SPEC.explain(wanted, tree.host)]
    assert shown == [
        ("dev:a", True, "matches"),
        ("/dev/b", False, "is served as /dev/a by /dev/a"),
        ("usb-046d-0825-A1", True, "matches"),
        ("", False, "nothing matches"),
    ]


def test_the_doctor_names_folders_that_are_missing_and_variables_set_twice(
    tmp_path: Path,
) -> None:
    """Each with a remedy."""
    tree = HardwareTree(tmp_path)
    udev = {"subsystem": "tty", "tags": ["systemd"]}
    wanted = several(
        {"name": "example.com/a", "hardware": [{"udev": udev}], "env": {"X": "{id}"}},
        {"name": "example.com/b", "hardware": [USB], "env": {"X": "{serial}"}},
    )
    assert SPEC.checks is not None
    found = [(f.severity, f.subject) for f in SPEC.checks(wanted, tree.host.root)]
    assert found == [
        ("problem", "/sys/devices"),
        ("problem", "/run/udev/data"),
        ("warning", "environment variable X"),
    ]
