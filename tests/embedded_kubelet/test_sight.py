"""What the oracle takes for one piece of hardware, and for a part of it."""

import json
import os
import stat
from pathlib import Path

import pytest

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.testing.kubelet.sight import Eye, Seen
from support.needs import require


def node(root: Path, path: str, minor: int, place: str = "", kind: int = stat.S_IFCHR) -> None:
    """Make a device node, and its place in sysfs if one is given."""
    require(os.geteuid() == 0, "making device nodes needs root")
    file = root / path[1:]
    file.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(file, kind | 0o600, os.makedev(240, minor))
    if place:
        name = "char" if kind == stat.S_IFCHR else "block"
        link(root, f"dev/{name}/240:{minor}", place)


def link(root: Path, path: str, place: str) -> None:
    """Make a link of sysfs to a device, and the device."""
    (root / "sys" / place).mkdir(parents=True, exist_ok=True)
    file = root / "sys" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.symlink_to(os.path.relpath(root / "sys" / place, file.parent))


def meets(eye: Eye, one: str, other: str) -> bool:
    return bool(eye.look_at([one]).meets(eye.look_at([other])))


def test_a_partition_is_a_part_of_its_disk(tmp_path: Path) -> None:
    """And not of another one, nor of its neighbour."""
    for number, (name, place) in enumerate(
        {"sda": "sda", "sda1": "sda/sda1", "sda2": "sda/sda2", "sdaa": "sdaa"}.items()
    ):
        node(tmp_path, f"/dev/{name}", number, f"devices/x/block/{place}", stat.S_IFBLK)
    eye = Eye(tmp_path)
    assert meets(eye, "/dev/sda", "/dev/sda1")
    assert meets(eye, "/dev/sda2", "/dev/sda")
    assert not meets(eye, "/dev/sda1", "/dev/sda2")
    assert not meets(eye, "/dev/sda", "/dev/sdaa")


def test_a_serial_port_is_a_part_of_its_usb_device(tmp_path: Path) -> None:
    """Whoever has the whole device can take the interface from its driver."""
    node(tmp_path, "/dev/bus/usb/001/002", 1, "devices/pci0/usb1/1-1")
    node(tmp_path, "/dev/ttyUSB0", 2, "devices/pci0/usb1/1-1/1-1:1.0/ttyUSB0/tty/ttyUSB0")
    assert meets(Eye(tmp_path), "/dev/bus/usb/001/002", "/dev/ttyUSB0")


def functions(root: Path) -> None:
    """Make a physical function with two virtual ones, each in an IOMMU group."""
    for number in range(3):
        address = f"0000:01:00.{number}"
        link(root, f"bus/pci/devices/{address}", f"devices/pci0/{address}")
        link(root, f"kernel/iommu_groups/{number}/devices/{address}", f"devices/pci0/{address}")
        if number:
            link(root, f"devices/pci0/{address}/physfn", "devices/pci0/0000:01:00.0")


@pytest.mark.parametrize("whole", ["/dev/vfio/0", "0000:01:00.0"])
@pytest.mark.parametrize("part", ["/dev/vfio/2", "0000:01:00.2"])
def test_a_virtual_function_is_a_part_of_its_physical_one(
    tmp_path: Path, whole: str, part: str
) -> None:
    """Given by their groups, or as network devices, which have no nodes."""
    functions(tmp_path)
    eye = Eye(tmp_path)

    def look(name: str) -> Seen:
        if name.startswith("/"):
            return eye.look_at([name])
        return eye.look(api.ContainerAllocateResponse(envs={"PCIDEVICE_X": name}))

    assert look(whole).meets(look(part))
    assert look(part).meets(look(whole))
    assert not look(part).meets(look("0000:01:00.1"))


def test_a_function_in_a_domain_of_five_digits_is_seen(tmp_path: Path) -> None:
    """A network device behind a volume management device is told by its address alone."""
    link(tmp_path, "bus/pci/devices/10000:01:00.0", "devices/pci0/10000:01:00.0")
    answer = api.ContainerAllocateResponse(envs={"PCIDEVICE_X": "10000:01:00.0"})
    assert Eye(tmp_path).look(answer).whole


def test_slices_of_a_gpu_are_parts_of_it(tmp_path: Path) -> None:
    """Each comes with the GPU's node and with nodes of its own."""
    eye = Eye(tmp_path)
    for name in ("nvidia0", "nvidia-caps/nvidia-cap1", "nvidia-caps/nvidia-cap2"):
        path = tmp_path / "dev" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    gpu = eye.look_at(["/dev/nvidia0"])
    one, other = (
        eye.look_at(["/dev/nvidia0", f"/dev/nvidia-caps/nvidia-cap{number}"]) for number in (1, 2)
    )
    assert gpu.meets(one)
    assert one.meets(gpu)
    assert not one.meets(other)


def test_names_lead_to_what_their_specification_says(tmp_path: Path) -> None:
    """And so do names in annotations; specifications of others do not count."""
    (tmp_path / "dev").mkdir()
    for name in "abc":
        (tmp_path / "dev" / name).touch()
    edits = [{"deviceNodes": [{"path": "/in", "hostPath": f"/dev/{name}"}]} for name in "abc"]
    spec = {
        "kind": "x.y/z",
        "devices": [
            {"name": "one", "containerEdits": edits[0]},
            {"name": "two", "containerEdits": edits[1]},
        ],
        "containerEdits": edits[2],
    }
    folder = tmp_path / "cdi"
    folder.mkdir()
    (folder / "spec.json").write_text(json.dumps(spec))
    eye = Eye(tmp_path, folder)
    by_name = api.ContainerAllocateResponse(cdi_devices=[api.CDIDevice(name="x.y/z=one")])
    noted = api.ContainerAllocateResponse(annotations={"cdi.k8s.io/a": "x.y/z=one"})
    assert eye.look(by_name) == eye.look(noted) == eye.look_at(["/dev/a", "/dev/c"])


def test_a_mount_is_a_device_if_it_can_be_nothing_else(tmp_path: Path) -> None:
    """A directory or a read-only file is for many."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/file").touch()
    eye = Eye(tmp_path)
    assert eye.look_at([], [("/dev/file", False)]) == eye.look_at(["/dev/file"])
    assert eye.look_at([], [("/dev/file", True), ("/dev", False), ("/none", False)]) == Seen()
