"""Simulated PCI: the files of /sys and /dev that this backend reads, and the events it hears."""

import shutil
from pathlib import Path

from nodeplug.host.socket_uevents import send_uevent
from nodeplug.host.uevents import Uevent

_NODE_FOLDERS = {
    "uverbs": "infiniband_verbs",
    "umad": "infiniband_mad",
    "issm": "infiniband_mad",
    "ucm": "infiniband_cm",
}


class Tree:
    """A host below a folder. Addresses are full; places are devpaths."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._links = 1
        for name in ("sys/bus/pci/devices", "sys/bus/auxiliary/devices", "sys/class/net", "dev"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def path(self, host_path: str) -> Path:
        """Return where the process finds a path of the host."""
        return self._folder / host_path.lstrip("/")

    def put(self, place: str, **attributes: object) -> Path:
        """Make a device with attributes, or change them."""
        folder = self.path(f"/sys{place}")
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in attributes.items():
            (folder / name).write_text(f"{value}\n")
        return folder

    def link(self, path: str, target: str) -> None:
        """Make a link of sysfs lead to another device or folder; both are below /sys."""
        place = self.path(f"/sys{path}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to("../" * (path.count("/") - 1) + target.lstrip("/"))

    def function(self, above: str, address: str, ids: str, *, numa: int = 0, **more: object) -> str:
        """Make a PCI function, `ids` being vendor, device and class; return its place."""
        vendor, device, kind = ids.split(":")
        place = f"{above}/{address}"
        self.put(
            place,
            **{"vendor": f"0x{vendor}", "device": f"0x{device}", "class": f"0x{kind}"},
            **{"numa_node": numa, **more},
        )
        self.link(f"/bus/pci/devices/{address}", place)
        return place

    def driver(self, place: str, name: str) -> None:
        """Bind a driver, or unbind the one that is bound for an empty name."""
        if name:
            self.link(f"{place}/driver", f"/bus/pci/drivers/{name}")
        else:
            self.path(f"/sys{place}/driver").unlink(missing_ok=True)

    def netdev(self, place: str, name: str, *, index: int = 0, **more: object) -> str:
        """Make a network device with a carrier; return its place."""
        self._links += 1
        index = index or self._links
        mac = f"02:00:00:00:{index >> 8:02x}:{index & 255:02x}"
        facts = {"ifindex": index, "type": 1, "address": mac, "carrier": 1, **more}
        self.put(f"{place}/net/{name}", **facts)
        self.link(f"/class/net/{name}", f"{place}/net/{name}")
        return f"{place}/net/{name}"

    def virtual(self, owner: str, index: int, place: str) -> None:
        """Make one function the virtual function of another."""
        self.link(f"{place}/physfn", owner)
        self.link(f"{owner}/virtfn{index}", place)

    def rdma(self, place: str, name: str, number: int) -> None:
        """Make an RDMA device with the nodes that current kernels give it."""
        self.put(f"{place}/infiniband/{name}/ports/1/pkeys", **{"0": "0xffff"})
        for prefix in ("uverbs", "umad", "issm"):
            self.put(f"{place}/{_NODE_FOLDERS[prefix]}/{prefix}{number}", ibdev=name)
        self.path("/sys/class/misc/rdma_cm").mkdir(parents=True, exist_ok=True)

    def iommu_group(self, place: str, number: int, *, noiommu: bool = False) -> None:
        """Put a function into an IOMMU group."""
        group = f"/kernel/iommu_groups/{number}"
        self.put(group, **({"name": "vfio-noiommu"} if noiommu else {}))
        self.link(f"{place}/iommu_group", group)
        self.link(f"{group}/devices/{place.rpartition('/')[2]}", place)

    def vfio_node(self, place: str, name: str) -> None:
        """Make the node that a function bound to VFIO has of its own."""
        self.put(f"{place}/vfio-dev/{name}", dev="511:0")

    def vdpa(self, place: str, name: str, driver: str, number: int = 0) -> None:
        """Make a vDPA device of a function, bound to `vhost_vdpa` or `virtio_vdpa`."""
        own = f"{place}/{name}"
        self.put(own)
        self.link(f"{own}/driver", f"/bus/vdpa/drivers/{driver}")
        self.link(f"/bus/vdpa/devices/{name}", own)
        if driver == "vhost_vdpa":
            self.put(f"{own}/vhost-vdpa-{number}")

    def sub_function(self, place: str, name: str, number: int) -> str:
        """Make a sub-function of a PCI function; return its place."""
        own = f"{place}/{name}"
        self.put(own, sfnum=number)
        self.link(f"{own}/driver", "/bus/auxiliary/drivers/mlx5_core.sf")
        self.link(f"/bus/auxiliary/devices/{name}", own)
        return own

    def remove(self, place: str) -> None:
        """Take a device away, with the links that lead to it from its bus."""
        name = place.rpartition("/")[2]
        for path in ("bus/pci/devices", "bus/auxiliary/devices", "class/net"):
            (self._folder / "sys" / path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path(f"/sys{place}"), ignore_errors=True)

    def tell(self, action: str, place: str, subsystem: str = "pci") -> None:
        """Say what the kernel would: an event of a device."""
        send_uevent(self._folder / "uevents.sock", Uevent(action, place, subsystem, "", {}))
