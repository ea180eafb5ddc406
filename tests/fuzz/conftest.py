"""What tests on hosts with several devices share."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from fuzz import hosts
from fuzz.hosts import Scene


@pytest.fixture(name="make")
def _make(request: pytest.FixtureRequest) -> Iterator[Callable[[Path], Scene]]:
    if request.param is not None:
        yield request.param
        return
    with hosts.library() as library:
        yield partial(hosts.gpus, library)
