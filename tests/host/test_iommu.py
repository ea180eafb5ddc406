"""Claims about IOMMU groups."""

from pathlib import Path

import pytest

from nodeplug.host.iommu import group_members, group_of, why_not_viable
from nodeplug.host.root import HostRoot

CARD, SOUND, BRIDGE = "0000:01:00.0", "0000:01:00.1", "0000:00:01.0"


class Group:
    """A host with devices of one IOMMU group."""

    def __init__(self, folder: Path) -> None:
        self.root = HostRoot(folder)

    def add(self, address: str, driver: str = "", device_class: str = "040300") -> None:
        """Add a PCI function."""
        place = self.root.sys / "devices/pci0000:00" / address
        place.mkdir(parents=True)
        (place / "class").write_text(f"0x{device_class}\n")
        (place / "iommu_group").symlink_to("../../../kernel/iommu_groups/16")
        self._link("bus/pci/devices", address, 3)
        self._link("kernel/iommu_groups/16/devices", address, 4)
        self.bind(address, driver)

    def bind(self, address: str, driver: str) -> None:
        """Bind a driver in the place of another one, or none."""
        link = self.root.sys / "devices/pci0000:00" / address / "driver"
        link.unlink(missing_ok=True)
        if driver:
            link.symlink_to(f"../../../bus/pci/drivers/{driver}")

    def _link(self, folder: str, address: str, up: int) -> None:
        place = self.root.sys / folder
        place.mkdir(parents=True, exist_ok=True)
        (place / address).symlink_to(f"{'../' * up}devices/pci0000:00/{address}")


@pytest.fixture
def group(tmp_path: Path) -> Group:
    """Return a card that is bound to vfio-pci."""
    made = Group(tmp_path)
    made.add(CARD, "vfio-pci", "030000")
    return made


def test_a_group_of_one_is_viable(group: Group) -> None:
    """As most groups are."""
    assert group_of(group.root, CARD) == "16"
    assert group_members(group.root, CARD) == [CARD]
    assert why_not_viable(group.root, CARD) == ""


def test_a_sibling_that_the_kernel_uses_is_named(group: Group) -> None:
    """The operator must know what to unbind, and from what."""
    group.add(SOUND, "snd_hda_intel")
    reason = why_not_viable(group.root, CARD)
    assert reason == f"{SOUND} in its IOMMU group 16 is bound to snd_hda_intel"
    assert group_members(group.root, CARD) == [CARD, SOUND]


@pytest.mark.parametrize(
    "driver", ["", "vfio-pci", "mlx5_vfio_pci", "nvgrace-gpu-vfio-pci", "pci-stub"]
)
def test_a_sibling_that_does_no_dma_for_the_kernel_is_harmless(group: Group, driver: str) -> None:
    """VFIO takes such a group."""
    group.add(SOUND, driver)
    assert why_not_viable(group.root, CARD) == ""


@pytest.mark.parametrize("driver", ["pcieport", "shpchp"])
def test_a_bridge_is_harmless(group: Group, driver: str) -> None:
    """A root port without isolation is in the group of what is below it."""
    group.add(BRIDGE, driver, "060400")
    assert why_not_viable(group.root, CARD) == ""


def test_an_unbound_sibling_makes_the_group_viable_again(group: Group) -> None:
    """Nothing is remembered."""
    group.add(SOUND, "snd_hda_intel")
    group.bind(SOUND, "")
    assert why_not_viable(group.root, CARD) == ""


def test_without_an_iommu_there_is_no_group(tmp_path: Path) -> None:
    """Nothing to complain of: VFIO has a mode without."""
    root = HostRoot(tmp_path)
    assert (group_of(root, CARD), group_members(root, CARD)) == ("", [])
    assert why_not_viable(root, CARD) == ""
