"""A look for which there are not enough descriptors is none; it shows nothing as gone."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from fuzz.test_one_odd_device import HOSTS, Make

_MOST = 24


@contextmanager
def _few_descriptors(number: int) -> Iterator[None]:
    """Let this process open so many files at a time."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = sorted({*range(1000)} - {int(each.name) for each in Path("/proc/self/fd").iterdir()})
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[number], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("make", [each[0] for each in HOSTS.values()], ids=[*HOSTS], indirect=True)
async def test_what_could_not_be_opened_is_not_gone(make: Make, tmp_path: Path) -> None:
    """With any number of them: it fails as a whole, or shows all."""
    scene = make(tmp_path)
    eyes = scene.eyes()
    whole = (await eyes.look()).devices
    for number in range(_MOST):
        seen = whole
        with suppress(Exception), _few_descriptors(number):
            seen = (await eyes.look()).devices
        assert seen == whole, number
