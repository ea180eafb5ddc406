"""Ids that are stable, readable, and fit for the kubelet and CDI."""

import pytest

from nodeplug.values.device import check_device_id
from nodeplug_custom.ids import id_of

PATHS = [
    "/dev/custom-device-0",
    "/dev/custom/device-0",
    "/dev/custom:device-0",
    "/dev-custom-device-0",
    "/0000:3b:00.0",
    "/dev/disk/by-path/pci-0000:00:1f.2-ata-1",
    "/dev/x-",
    "/dev/-x",
    "/.dev/x",
    "/dev/" + 51 * "x",
    "/dev/" + 52 * "x",
    "/dev/" + 52 * "x" + "y",
    "/dev/ü",
    "/dev/\n",
    '/dev/\'; rm -rf "$HOME"',
    "/dev/\udcff",
    "/" + "/".join(20 * ["twenty-characters-xx"]),
    "/ü/ü",
    "/---/---",
]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/dev/fuse", "dev:fuse"),
        ("/dev/dri/renderD128", "dev:dri:renderD128"),
        ("/dev/snd:x", "dev-snd-x-f94dfc51d02ae99a"),
    ],
)
def test_an_id_is_the_path_in_another_dress(path: str, expected: str) -> None:
    """Operators recognise the device; the spelling is the same in every release."""
    assert id_of(path) == expected


@pytest.mark.parametrize("path", PATHS)
def test_every_path_has_a_valid_id(path: str) -> None:
    """Whatever a name holds, the id fits the limits of kubelet and CDI."""
    assert check_device_id(id_of(path))


def test_no_two_paths_share_an_id() -> None:
    """Not even those that differ in characters an id cannot hold, or beyond its length."""
    assert len({id_of(path) for path in PATHS}) == len(PATHS)


def test_no_readable_id_looks_like_a_hashed_one() -> None:
    """A device cannot take a name that makes its id another's."""
    hashed = id_of("/dev/snd:x")
    assert id_of(f"/{hashed}") != hashed
    assert id_of(f"/dev/{hashed.removeprefix('dev-')}") != hashed
