"""Claims about the readers of sysfs attributes."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from nodeplug.backend import Omissions
from nodeplug.host.root import HostRoot
from nodeplug.host.shortage import ShortageError
from nodeplug.host.sysfs import (
    ancestors,
    device_at,
    device_of_node,
    link_name,
    names_in,
    numa_nodes,
    read_bytes,
    read_int,
    read_text,
)
from support.limited import without_descriptors


def test_an_attribute_is_read_without_its_line_end(tmp_path: Path) -> None:
    """White space and zeros around the text are the kernel's habit, not the value."""
    (tmp_path / "a").write_bytes(b" value\n\0")
    assert read_text(tmp_path / "a") == "value"


def test_an_attribute_is_read_no_further_than_a_page(tmp_path: Path) -> None:
    """A huge file costs 4 KiB."""
    (tmp_path / "a").write_bytes(b"x" * 1_000_000)
    assert len(read_text(tmp_path / "a") or "") == 4096


def test_a_missing_attribute_is_none(tmp_path: Path) -> None:
    """No attribute, no error."""
    assert read_text(tmp_path / "none") is None


def test_an_attribute_that_answers_with_an_error_is_none() -> None:
    """A read that the kernel refuses (EIO here) is as good as no attribute."""
    assert read_text(Path("/proc/self/mem")) is None


def test_a_fifo_in_place_of_an_attribute_does_not_block(tmp_path: Path) -> None:
    """A trap in a foreign tree cannot stop the reader."""
    os.mkfifo(tmp_path / "a")
    assert read_text(tmp_path / "a") == ""


@pytest.mark.parametrize(
    ("text", "number"),
    [("12\n", 12), ("-1", -1), ("0x1f", 31), ("007", 7), ("", None), ("1f", None), ("x", None)],
)
def test_numbers_are_read(tmp_path: Path, text: str, number: int | None) -> None:
    """Decimal, and hexadecimal after 0x; anything else is none."""
    (tmp_path / "a").write_text(text)
    assert read_int(tmp_path / "a") == number


def test_a_link_gives_the_name_it_leads_to(tmp_path: Path) -> None:
    """A driver link names the driver, though its folder is missing."""
    (tmp_path / "driver").symlink_to("../../bus/pci/drivers/vfio-pci")
    assert link_name(tmp_path / "driver") == "vfio-pci"


def test_no_link_gives_no_name(tmp_path: Path) -> None:
    """A device without driver has none."""
    assert link_name(tmp_path / "driver") is None


@pytest.mark.parametrize(("text", "nodes"), [("0", (0,)), ("3\n", (3,)), ("-1", ()), ("", ())])
def test_the_numa_node_of_a_device(tmp_path: Path, text: str, nodes: tuple[int, ...]) -> None:
    """A node of its own is told, -1 and nonsense are none."""
    device = tmp_path / "sys/devices/pci0000:00/0000:00:01.0"
    device.mkdir(parents=True)
    (device / "numa_node").write_text(text)
    assert numa_nodes(device) == nodes


def test_the_nearest_numa_node_above_counts(tmp_path: Path) -> None:
    """A USB device has its controller's node, not the one further up."""
    device = tmp_path / "sys/devices/pci0000:00/0000:00:01.0/usb1/1-2"
    device.mkdir(parents=True)
    (device.parents[1] / "numa_node").write_text("1")
    (device.parents[2] / "numa_node").write_text("0")
    assert numa_nodes(device) == (1,)


def test_what_lies_above_the_device_tree_has_no_numa_node(tmp_path: Path) -> None:
    """The search ends at the top of the device tree."""
    device = tmp_path / "sys/devices/virtual/mem/null"
    device.mkdir(parents=True)
    (tmp_path / "sys/numa_node").write_text("1")
    assert numa_nodes(device) == ()


def test_ancestors_come_nearest_first() -> None:
    """All devices above, without the device itself and the top."""
    assert list(ancestors("/devices/a/b/c")) == ["/devices/a/b", "/devices/a"]


@pytest.mark.parametrize("devpath", ["/devices/a", "/devices", "/", ""])
def test_the_topmost_device_has_no_ancestors(devpath: str) -> None:
    """Nothing is above it, and the search ends."""
    assert list(ancestors(devpath)) == []


def test_a_node_leads_to_its_device() -> None:
    """The numbers of /dev/null lead to the kernel's device of it."""
    assert device_of_node(HostRoot(), "char", 1, 3) == "/devices/virtual/mem/null"


def test_an_unknown_node_leads_nowhere() -> None:
    """Numbers that no driver has give none."""
    assert device_of_node(HostRoot(), "char", 999, 999) is None


def test_a_link_out_of_the_device_tree_is_no_device(tmp_path: Path) -> None:
    """A link of a foreign tree leads to a device or to nothing."""
    (tmp_path / "sys/dev/char").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "sys/dev/char/1:3").symlink_to("../../../etc")
    assert device_of_node(HostRoot(tmp_path), "char", 1, 3) is None


def test_a_loop_of_links_is_no_device(tmp_path: Path) -> None:
    """A loop gives none instead of an error."""
    (tmp_path / "sys").mkdir()
    (tmp_path / "sys/loop").symlink_to("loop")
    assert device_at(HostRoot(tmp_path), "/sys/loop") is None


@pytest.mark.parametrize("look", [read_text, read_int, partial(read_bytes, size=4), names_in])
def test_who_can_open_nothing_sees_nothing_of_the_host(
    look: Callable[[Path], object], tmp_path: Path
) -> None:
    """Not even that a file is missing: a device would be gone, and nothing would bring it back."""
    with pytest.raises(ShortageError), without_descriptors():
        look(tmp_path)


def test_a_thing_that_cannot_be_looked_at_for_lack_of_descriptors_is_not_left_out() -> None:
    """It is not odd; all of the look is of no use."""
    omissions = Omissions()
    with pytest.raises(ShortageError), omissions.alone("a"):
        raise ShortageError
    assert not omissions
