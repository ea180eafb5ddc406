"""Claims about telling what a path is."""

import os
import socket
from pathlib import Path

import pytest

from nodeplug.host.nodes import node_type
from support.needs import require


def test_a_character_device_is_told() -> None:
    """/dev/null is a character device."""
    assert node_type(Path("/dev/null")) == "char"


def test_a_block_device_is_told(tmp_path: Path) -> None:
    """A block node is told by its type, even where no driver is behind its number."""
    require(os.geteuid() == 0, "making a device node needs root")
    os.mknod(tmp_path / "node", 0o60600, os.makedev(240, 0))
    assert node_type(tmp_path / "node") == "block"


def test_a_socket_is_told(tmp_path: Path) -> None:
    """A bound unix socket is a socket."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
    assert node_type(tmp_path / "s") == "socket"


def test_a_fifo_is_told_and_not_opened(tmp_path: Path) -> None:
    """Opening a fifo without a writer would wait for ever."""
    os.mkfifo(tmp_path / "f")
    assert node_type(tmp_path / "f") == "fifo"


def test_files_and_folders_are_told(tmp_path: Path) -> None:
    """A plain file is a file, a folder a directory."""
    (tmp_path / "f").touch()
    assert (node_type(tmp_path / "f"), node_type(tmp_path)) == ("file", "directory")


def test_a_link_is_what_it_leads_to(tmp_path: Path) -> None:
    """Links are followed."""
    (tmp_path / "l").symlink_to("/dev/null")
    assert node_type(tmp_path / "l") == "char"


@pytest.mark.parametrize("name", ["none", "dangling", "loop", "a\0b", "x" * 300])
def test_what_cannot_be_found_is_none(tmp_path: Path, name: str) -> None:
    """No path raises: missing, dangling, looping, impossible and too long are all nothing."""
    (tmp_path / "dangling").symlink_to("none")
    (tmp_path / "loop").symlink_to("loop")
    assert node_type(tmp_path / name) is None
