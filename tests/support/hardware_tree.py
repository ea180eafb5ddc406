"""A host's /sys with USB devices, PCI functions and mediated devices, made of files."""

import os
from pathlib import Path

from support.custom_host import FakeHost


class HardwareTree(FakeHost):
    """Each method adds one thing, as the kernel would show it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._minor = 0
        for name in ("bus/usb/devices", "bus/pci/devices", "dev/char", "dev/block", "class"):
            (folder / "sys" / name).mkdir(parents=True, exist_ok=True)

    def pci(self, address: str, ids: str = "8086:1234", driver: str = "", **files: str) -> str:
        vendor, device = ids.split(":")
        devpath = f"/devices/pci0000:00/{address}"
        self._device(devpath, "bus", "pci", driver)
        content = {"vendor": f"0x{vendor}", "device": f"0x{device}", "class": "0x030000"}
        self.write(devpath, content | {"numa_node": "1"} | files)
        return devpath

    def vfio(self, address: str, group: int, **keys: str) -> str:
        devpath = self.pci(address, driver="vfio-pci", **keys)
        self.group(devpath, group)
        for name in ("vfio", str(group)):
            self.char(f"/dev/vfio/{name}")
        return devpath

    def group(self, devpath: str, number: int) -> None:
        """Put a PCI function into an IOMMU group."""
        place = f"kernel/iommu_groups/{number}"
        (self.folder / f"sys{devpath}/iommu_group").symlink_to(f"../../../{place}")
        members = self.folder / "sys" / place / "devices"
        members.mkdir(parents=True, exist_ok=True)
        (members / devpath.rpartition("/")[2]).symlink_to(f"../../../..{devpath}")

    def bind(self, devpath: str, driver: str) -> None:
        """Bind a driver in the place of the one that is bound, or none."""
        link = self.folder / f"sys{devpath}/driver"
        link.unlink(missing_ok=True)
        if driver:
            link.symlink_to(f"/sys/bus/pci/drivers/{driver}")

    def usb(self, port: str, ids: str = "046d:0825", serial: str = "", number: int = 5) -> str:
        vendor, product = ids.split(":")
        devpath = f"/devices/pci0000:00/0000:00:14.0/usb1/{port}"
        self._device(devpath, "bus", "usb", "usb")
        files = {"idVendor": vendor, "idProduct": product, "busnum": "1", "devnum": str(number)}
        self.write(devpath, files | {"bDeviceClass": "00"} | ({"serial": serial} if serial else {}))
        self.char(f"/dev/bus/usb/001/{number:03}")
        return devpath

    def node(  # type: ignore[override]
        self, parent: str, subsystem: str, name: str, *, interface: str = "", **files: str
    ) -> str:
        """Add a device with a node below another, or below an interface of it."""
        between = f"/{parent.rpartition('/')[2]}:{interface}" if interface else ""
        devpath = f"{parent}{between}/{subsystem}/{name}"
        self._device(devpath, "class", subsystem, "")
        self._minor += 1
        uevent = f"MAJOR=81\nMINOR={self._minor}\nDEVNAME={name}\n"
        self.write(devpath, {"uevent": uevent, "dev": f"81:{self._minor}"} | files)
        index = self.folder / f"sys/dev/char/81:{self._minor}"
        index.symlink_to(f"../../{devpath[1:]}")
        self.char(f"/dev/{name}", f"81:{self._minor}")
        return devpath

    def mdev(self, uuid: str, parent: str, kind: str, group: int) -> str:
        devpath = f"{parent}/{uuid}"
        self._device(devpath, "bus", "mdev", "vfio_mdev")
        types = self.folder / f"sys{parent}/mdev_supported_types/{kind}"
        types.mkdir(parents=True, exist_ok=True)
        (self.folder / f"sys{devpath}/mdev_type").symlink_to(types)
        (self.folder / f"sys{devpath}/iommu_group").symlink_to(f"../../groups/{group}")
        for name in ("vfio", str(group)):
            self.char(f"/dev/vfio/{name}")
        return devpath

    def write(self, devpath: str, files: dict[str, str]) -> None:
        for name, content in files.items():
            file = self.folder / f"sys{devpath}/{name}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{content}\n")

    def database(self, key: str, *lines: str) -> None:
        file = self.path(f"/run/udev/data/{key}")
        file.write_text("".join(f"{line}\n" for line in lines))

    def unplug(self, devpath: str) -> None:
        """Take a device and all below it away."""
        folder = self.folder / f"sys{devpath}"
        for place in (self.folder / "sys/bus", self.folder / "sys/class", self.folder / "sys/dev"):
            for link in place.rglob("*"):
                if link.is_symlink() and link.resolve().is_relative_to(folder):
                    link.unlink()
        for uevent in folder.rglob("uevent"):
            names = [line[8:] for line in uevent.read_text().split("\n") if "DEVNAME=" in line]
            for name in names:
                (self.folder / "dev" / name).unlink(missing_ok=True)
        folder.rename(self.folder / f"unplugged-{os.urandom(4).hex()}")

    def char(self, host_path: str, number: str = "") -> None:
        if not self.path(host_path).exists():
            FakeHost.node(self, host_path, number=number)

    def _device(self, devpath: str, kind: str, subsystem: str, driver: str) -> None:
        folder = self.folder / f"sys{devpath}"
        folder.mkdir(parents=True, exist_ok=True)
        name = devpath.rpartition("/")[2]
        index = self.folder / "sys" / kind / subsystem / ("devices" if kind == "bus" else "")
        index.mkdir(parents=True, exist_ok=True)
        up = "../" * len(index.relative_to(self.folder / "sys").parts)
        (index / name).symlink_to(f"{up}{devpath[1:]}")
        (folder / "subsystem").symlink_to(f"/sys/{kind}/{subsystem}")
        (folder / "uevent").touch()
        if driver:
            (folder / "driver").symlink_to(f"/sys/{kind}/{subsystem}/drivers/{driver}")
