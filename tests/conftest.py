"""What holds for all tests."""

import signal
from collections.abc import Generator
from types import FrameType
from typing import Any

import pytest

from nodeplug.host.fallbacks import fallbacks, forget
from nodeplug.testing.patience import extension


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(settings: Any) -> Generator[None, bool, bool]:
    """Give a test more time on a busy machine, which is measured when its time is up."""
    is_set = yield
    fail = signal.getsignal(signal.SIGALRM)

    def extend(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGALRM, fail)
        signal.setitimer(signal.ITIMER_REAL, extension(settings.timeout))

    signal.signal(signal.SIGALRM, extend)
    return is_set


def pytest_runtest_setup() -> None:
    """Begin as a process does: what a test before had to do without is no trouble of this one."""
    for what in fallbacks():
        forget(what)
