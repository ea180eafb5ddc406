"""Which paths a pattern matches."""

import os

import pytest

from nodeplug_custom.globs import Glob
from support.custom_host import FakeHost


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/dev/a*", "/dev/ab", True),
        ("/dev/a*", "/dev/a/b", False),
        ("/dev/a*", "/dev/b", False),
        ("/dev/a?", "/dev/a", False),
        ("/dev/a[0-9]", "/dev/a7", True),
        ("/dev/a[!0-9]", "/dev/a7", False),
        ("/dev/a[*]", "/dev/a*", True),
        ("/dev/a[*]", "/dev/ab", False),
        ("/dev/*", "/dev/.hidden", False),
        ("/dev/.h*", "/dev/.hidden", True),
        ("/dev/*/b", "/dev/a/b", True),
        ("/dev/a", "/dev/a\n", False),
        ("/dev/a*", "/dev/a\nb", True),
        ("/dev/{a,b}", "/dev/a", False),
    ],
)
def test_patterns_match_as_in_a_shell(
    fake: FakeHost, pattern: str, path: str, *, expected: bool
) -> None:
    """What is found on a host and what is said to match are one and the same."""
    fake.file(path)
    glob = Glob(pattern)
    assert (glob.matches(path), glob.find(fake.host.root)[0] == [path]) == (expected, expected)


def test_matches_come_in_order(fake: FakeHost) -> None:
    """The order of a directory is chance; the order of names is not."""
    names = ["/dev/b/x", "/dev/a/y", "/dev/a/x"]
    for name in names:
        fake.file(name)
    assert Glob("/dev/*/*").find(fake.host.root)[0] == sorted(names)


def test_links_in_a_pattern_stay_within_the_root(fake: FakeHost) -> None:
    """An absolute link of the host leads to the host's directory, not to that of this process."""
    fake.path("/dev/link").symlink_to("/real")
    fake.file("/real/x")
    assert Glob("/dev/link/*").find(fake.host.root)[0] == ["/dev/link/x"]


def test_a_loop_of_links_has_no_matches(fake: FakeHost) -> None:
    """Links that lead nowhere are no error."""
    fake.path("/dev/loop").symlink_to("loop")
    assert Glob("/dev/loop/*").find(fake.host.root)[0] == []


def test_an_undecodable_name_is_matched(fake: FakeHost) -> None:
    """A name that is not UTF-8 breaks nothing here; it is judged later."""
    os.mknod(os.fsencode(fake.folder) + b"/dev/a\xff")
    assert Glob("/dev/a*").find(fake.host.root)[0] == [os.fsdecode(b"/dev/a\xff")]
