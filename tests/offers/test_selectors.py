"""One grammar picks devices everywhere."""

import pytest

from nodeplug.selectors import Selector, check_selector, matches
from nodeplug.values.device import Device
from nodeplug.values.errors import InvalidValueError

GPU = Device(
    id="gpu-1",
    resource="a.b/gpu",
    parent="board-1",
    numa_nodes=(1,),
    attributes={"model": "A100-SXM4", "memory": 40, "ecc": True},
    capacity={"slices": 7},
)


@pytest.mark.parametrize(
    "selectors",
    [
        {},
        {"model": "A100-SXM4"},
        {"model": "A100*"},
        {"model": ["T4", "A100*"]},
        {"model": "!T4"},
        {"model": ["A*", "!A10", "!A30"]},
        {"memory": 40},
        {"memory": ">=40"},
        {"memory": "16..80"},
        {"memory": ["<8", ">39"]},
        {"ecc": True},
        {"slices": 7},
        {"id": "gpu-*", "parent": "board-1", "numa": 1},
    ],
)
def test_a_device_that_satisfies_every_selector_matches(selectors: dict[str, Selector]) -> None:
    """Equality, glob, list, exclusion, comparison, range; attributes, capacity, identity."""
    assert matches(GPU, selectors)


@pytest.mark.parametrize(
    "selectors",
    [
        {"model": "A100"},
        {"model": "!A100*"},
        {"model": ["A100*", "!*SXM4"]},
        {"memory": ">40"},
        {"memory": "41..80"},
        {"model": ">=40"},
        {"ecc": False},
        {"colour": "*"},
        {"colour": "!red"},
        {"model": "A100*", "memory": 80},
    ],
)
def test_a_device_that_fails_any_selector_does_not_match(selectors: dict[str, Selector]) -> None:
    """An attribute that a device does not have satisfies nothing, not even an exclusion."""
    assert not matches(GPU, selectors)


@pytest.mark.parametrize("selector", ["", "!", "9..3", ["ok", ""]])
def test_a_selector_that_can_hold_for_nothing_is_refused(selector: Selector) -> None:
    """A mistake shows when the file is checked."""
    with pytest.raises(InvalidValueError):
        check_selector(selector)
