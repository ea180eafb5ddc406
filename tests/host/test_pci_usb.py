"""Claims about the PCI and USB devices found."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from nodeplug.host.pci import PciDevice, pci_devices
from nodeplug.host.root import HostRoot
from nodeplug.host.usb import UsbDevice, usb_device, usb_ports, usb_serial
from support.needs import require

PCI = {
    "vendor": "0x10DE\n",
    "device": "0x20b0\n",
    "subsystem_vendor": "0x10de\n",
    "subsystem_device": "0x134f\n",
    "class": "0x030200\n",
    "numa_node": "1\n",
}
USB = {
    "idVendor": "046d\n",
    "idProduct": "0825\n",
    "bDeviceClass": "ef\n",
    "serial": "A1B2\n",
    "busnum": "1\n",
    "devnum": "12\n",
}


@pytest.fixture
def root(tmp_path: Path) -> HostRoot:
    return HostRoot(tmp_path)


def add(root: HostRoot, bus: str, devpath: str, attributes: Mapping[str, str]) -> Path:
    """Make a device with its attributes and the bus's link to it."""
    place = root.path(f"/sys{devpath}")
    place.mkdir(parents=True)
    for name, text in attributes.items():
        (place / name).write_text(text)
    links = root.sys / "bus" / bus / "devices"
    links.mkdir(parents=True, exist_ok=True)
    (links / place.name).symlink_to(f"../../..{devpath}")
    return place


def test_a_pci_device_is_read(root: HostRoot) -> None:
    """Ids lose their prefix, the driver is its link's name."""
    place = add(root, "pci", "/devices/pci0000:00/0000:00:02.0", PCI)
    (place / "driver").symlink_to("../../../bus/pci/drivers/nvidia")
    assert pci_devices(root) == [
        PciDevice(
            "0000:00:02.0",
            "/devices/pci0000:00/0000:00:02.0",
            *("10de", "20b0", "10de", "134f", "030200"),
            driver="nvidia",
            numa=(1,),
        )
    ]


def test_pci_devices_come_by_address(root: HostRoot) -> None:
    """The order does not depend on the directory's."""
    for number in (2, 0, 1):
        add(root, "pci", f"/devices/pci0000:00/0000:00:0{number}.0", PCI)
    assert [each.address[-3] for each in pci_devices(root)] == ["0", "1", "2"]


def test_a_pci_device_that_has_gone_is_left_out(root: HostRoot) -> None:
    """A link without device, or a device without vendor, is one being removed."""
    add(root, "pci", "/devices/pci0000:00/0000:00:01.0", {})
    (root.sys / "bus/pci/devices/0000:00:02.0").symlink_to("../../../devices/gone")
    assert pci_devices(root) == []


def test_the_pci_devices_of_this_machine_are_all_found() -> None:
    """Where the kernel shows devices, each is read."""
    links = Path("/sys/bus/pci/devices")
    require(links.is_dir(), "this machine has no PCI bus")
    assert {each.address for each in pci_devices(HostRoot())} == {p.name for p in links.iterdir()}


def test_a_usb_device_is_read(root: HostRoot) -> None:
    """Its port, ids and numbers; the NUMA node is its controller's."""
    (root.sys / "devices/pci0000:00/0000:00:01.0").mkdir(parents=True)
    (root.sys / "devices/pci0000:00/0000:00:01.0/numa_node").write_text("0")
    devpath = "/devices/pci0000:00/0000:00:01.0/usb1/1-2.3"
    add(root, "usb", devpath, USB)
    wanted = UsbDevice("1-2.3", devpath, "046d", "0825", "ef", 1, 12, (0,))
    assert usb_device(root, "1-2.3") == wanted


def test_a_usb_device_names_its_node(root: HostRoot) -> None:
    """The node's path has both numbers in three digits."""
    add(root, "usb", "/devices/usb1/1-2", USB)
    device = usb_device(root, "1-2")
    assert device is not None
    assert device.node == "/dev/bus/usb/001/012"


@pytest.mark.parametrize(("content", "serial"), [("A1B2\n", "A1B2"), ("\n", "")])
def test_the_serial_number_is_read_apart(root: HostRoot, content: str, serial: str) -> None:
    """For it alone waits for the device."""
    add(root, "usb", "/devices/usb1/1-2", {**USB, "serial": content})
    device = usb_device(root, "1-2")
    assert device is not None
    assert (device.serial, usb_serial(root, device)) == (None, serial)


def test_usb_interfaces_are_not_devices(root: HostRoot) -> None:
    """An interface, named with a colon, is left out."""
    add(root, "usb", "/devices/usb1/1-2", USB)
    add(root, "usb", "/devices/usb1/1-2/1-2:1.0", USB)
    assert usb_ports(root) == ["1-2"]


def test_a_usb_device_that_goes_while_read_is_left_out(root: HostRoot) -> None:
    """Half a device is none."""
    add(root, "usb", "/devices/usb1/1-2", {"idVendor": "046d"})
    assert usb_device(root, "1-2") is None


def test_a_host_without_these_buses_has_no_devices(root: HostRoot) -> None:
    """A missing bus is no error."""
    assert (pci_devices(root), usb_ports(root)) == ([], [])
