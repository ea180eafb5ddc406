"""One grammar picks devices everywhere."""

import pytest

from nodeplug.selectors import Selector, check_selector, check_selectors, matches
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


@pytest.mark.parametrize(
    "selector",
    [
        *("", "!", "9..3", ["ok", ""]),
        *(">= 5 GiB", ">=40Gi", "!<4x", "<", ">=", "> five", "16GB..80GB", "16..80Gi"),
        *("1Gi..2", "-1..2k", [">=40", ">=40Gi"]),
    ],
)
def test_a_selector_that_can_hold_for_nothing_is_refused(selector: Selector) -> None:
    """A mistake shows when the file is checked."""
    with pytest.raises(InvalidValueError):
        check_selector(selector)


@pytest.mark.parametrize("term", [">=40", "!>=40", "16..80", ["a", "<3"]])
@pytest.mark.parametrize("name", ["id", "parent"])
def test_what_is_text_on_every_device_is_not_compared_with_numbers(
    name: str, term: Selector
) -> None:
    """It would hold for nothing, in silence."""
    with pytest.raises(InvalidValueError, match=f"devices.{name}: is text"):
        check_selectors({name: term})


@pytest.mark.parametrize("text", ["a..b", "v1..v2", "=>5", "x>=5", "0000:05:00.0"])
def test_what_only_looks_like_a_comparison_is_text(text: str) -> None:
    """Names of devices may be odd."""
    check_selector(text)
    assert matches(Device(id="d", resource="a.b/c", attributes={"x": text}), {"x": text})


@pytest.mark.parametrize("term", ["true", "True", "TRUE", True, "!false", "[tT]rue"])
def test_truth_may_be_written_in_all_of_its_ways(term: Selector) -> None:
    """YAML 1.2 has three of them."""
    ecc = Device(id="d", resource="a.b/c", attributes={"ecc": True})
    assert matches(ecc, {"ecc": term})
    assert not matches(ecc, {"ecc": ["false", "False"]})
