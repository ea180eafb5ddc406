"""Claims about host paths and where this process finds them."""

import os
from pathlib import Path

import pytest

from nodeplug.host.root import HostRoot


@pytest.fixture
def root(tmp_path: Path) -> HostRoot:
    (tmp_path / "host/dev").mkdir(parents=True)
    (tmp_path / "host/dev/video0").touch()
    return HostRoot(tmp_path / "host")


@pytest.mark.parametrize("name", ["dev", "sys", "proc", "run"])
def test_the_four_trees_lie_below_the_root(root: HostRoot, name: str) -> None:
    """Each of the four trees is the root's folder of that name."""
    assert getattr(root, name) == root.root / name


def test_a_host_path_is_found_below_the_root(root: HostRoot) -> None:
    """A host path leads to the file of that name below the root."""
    assert root.path("/dev/video0").exists()


@pytest.mark.parametrize("path", ["/../etc/passwd", "..", "/dev/../../x", "/dev/.."])
def test_a_path_with_an_upward_step_is_refused(root: HostRoot, path: str) -> None:
    """No argument with ".." is turned into a path, whether or not it would leave the root."""
    with pytest.raises(ValueError, match=r"'\.\.' step"):
        root.path(path)


def test_many_leading_slashes_stay_below_the_root(root: HostRoot) -> None:
    """A doubled slash does not make the path absolute for this process."""
    assert root.path("//dev/video0") == root.dev / "video0"


@pytest.mark.parametrize("host_path", ["/", "/dev/video0", "/.hidden", "/dev/..odd"])
def test_to_host_undoes_path(root: HostRoot, host_path: str) -> None:
    """Every host path comes back, those that start with a dot too."""
    assert root.to_host(root.path(host_path)) == host_path


def test_to_host_refuses_a_path_outside(root: HostRoot, tmp_path: Path) -> None:
    """A path that is not below the root is no host path."""
    with pytest.raises(ValueError, match="subpath"):
        root.to_host(tmp_path / "elsewhere")


def test_to_host_refuses_a_path_that_climbs_out(root: HostRoot) -> None:
    """A path that begins below the root and leaves it is no host path."""
    with pytest.raises(ValueError, match=r"'\.\.' step"):
        root.to_host(root.root / ".." / "elsewhere")


def test_an_absolute_link_stays_on_the_host(root: HostRoot) -> None:
    """A link to an absolute path is followed from the host's root, not this process's."""
    (root.dev / "camera").symlink_to("/dev/video0")
    assert root.resolve("/dev/camera") == "/dev/video0"


def test_a_relative_link_is_followed_from_its_folder(root: HostRoot) -> None:
    """A link to a relative path starts where the link is."""
    (root.dev / "by-id").mkdir()
    (root.dev / "by-id/camera").symlink_to("../video0")
    assert root.resolve("/dev/by-id/camera") == "/dev/video0"


def test_a_linked_folder_is_followed_in_the_middle(root: HostRoot) -> None:
    """Links count in every step of a path, not only in the last."""
    (root.root / "devices").symlink_to("dev")
    assert root.resolve("/devices/./video0") == "/dev/video0"


def test_an_upward_step_follows_the_link_before_it(root: HostRoot) -> None:
    """Going up leads to the parent of the link's target, as the kernel does it."""
    (root.root / "a/b").mkdir(parents=True)
    (root.dev / "link").symlink_to("/a/b")
    assert root.resolve("/dev/link/../file") == "/a/file"


def test_a_link_cannot_climb_out_of_the_root(root: HostRoot) -> None:
    """More upward steps than there are folders end at the root."""
    (root.dev / "out").symlink_to("../../../../etc/passwd")
    assert root.resolve("/dev/out") == "/etc/passwd"


def test_what_does_not_exist_stays_as_written(root: HostRoot) -> None:
    """A missing file is no error: its path is returned."""
    assert root.resolve("/dev/none/at/all") == "/dev/none/at/all"


def test_a_loop_of_links_is_an_error(root: HostRoot) -> None:
    """A loop ends in ELOOP instead of never."""
    (root.dev / "a").symlink_to("b")
    (root.dev / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels"):
        root.resolve("/dev/a")


def test_forty_links_in_a_row_are_followed(root: HostRoot) -> None:
    """The kernel's own limit is kept: forty links resolve."""
    target = "video0"
    for number in range(40):
        (root.dev / f"link{number}").symlink_to(target)
        target = f"link{number}"
    assert root.resolve(f"/dev/{target}") == "/dev/video0"


def test_on_the_true_root_resolve_agrees_with_the_kernel() -> None:
    """For a link of this machine, the answer is the kernel's."""
    assert HostRoot().resolve("/proc/self/fd/..") == os.path.realpath("/proc/self/fd/..")
