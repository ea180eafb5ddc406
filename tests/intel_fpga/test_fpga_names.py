"""Resource names, to the letter as Intel's own plugin has them."""

import pytest

from nodeplug.values.names import check_resource_name
from nodeplug_intel_fpga.ids import af_resource, good_id, region_resource, why_bad
from support.fpga_host import AF, AFU, INTERFACE, NOBODY


def test_the_name_of_a_port_is_made_of_both_ids() -> None:
    """The example of the peer: workloads ask for this very name."""
    assert af_resource(INTERFACE, AFU) == AF


def test_the_name_of_a_region_is_its_interface() -> None:
    """Likewise."""
    assert region_resource(INTERFACE) == "fpga.intel.com/region-69528db6eb31577a8c3668f9faa081f6"


@pytest.mark.parametrize("afu", ["0" * 32, "fb" * 16, "f" * 31 + "e", "3e" * 16])
def test_every_id_makes_a_name_that_kubernetes_takes(afu: str) -> None:
    """Base64's own characters never come last."""
    check_resource_name(af_resource("fb" * 16, afu))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "cannot be read"),
        (NOBODY, "reads all ones"),
        (NOBODY.upper(), "reads all ones"),
        ("", "reads '', which is no id"),
        ("d842\n\x1b[31m", r"reads 'd842\n\x1b[31m', which is no id"),
        ("g" * 4000, f"reads '{'g' * 40}', which is no id"),
    ],
)
def test_what_is_no_id_is_said_in_one_short_line(text: str | None, reason: str) -> None:
    """Whatever the file holds."""
    assert (good_id(text), why_bad(text)) == ("", reason)


def test_ids_are_told_in_lower_case() -> None:
    """Names must not depend on a driver's habit."""
    assert good_id(AFU.upper()) == AFU
