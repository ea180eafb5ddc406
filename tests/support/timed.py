"""Tests of seconds."""

import pytest

# A limit in seconds judges the machine too, which may stand still for a moment; not three times.
timed = pytest.mark.flaky(reruns=2)
