"""Which errors count, and how long."""

from collections.abc import Mapping
from typing import Any

import pytest

from nodeplug_nvidia_gpu.facts import Event, Gpu
from nodeplug_nvidia_gpu.health import HealthBook
from nodeplug_nvidia_gpu.rules import Rules
from nodeplug_nvidia_gpu.settings import HealthSettings
from nodeplug_nvidia_gpu.view import View
from support.nvml_host import uuid

ID = uuid(0)
DEFAULT = HealthSettings()
OFF, ON = "DP_DISABLE_HEALTHCHECKS", "DP_ENABLE_HEALTHCHECKS"


def counts(xid: int, environment: Mapping[str, str], health: HealthSettings = DEFAULT) -> bool:
    return Rules.of(health, environment).verdict(Event(uuid=ID, xid=xid)) != ("", "")


@pytest.mark.parametrize("xid", [13, 31, 43, 45, 68, 109])
def test_errors_of_applications_do_not_count(xid: int) -> None:
    """As with NVIDIA's plugin."""
    assert not counts(xid, {})


@pytest.mark.parametrize("xid", [48, 63, 74, 79, 94, 95, 119, 9999])
def test_all_other_errors_count(xid: int) -> None:
    """Unknown ones included."""
    assert counts(xid, {})


@pytest.mark.parametrize(
    ("environment", "xid", "expected"),
    [
        ({OFF: "79"}, 79, False),
        ({OFF: "79"}, 48, True),
        ({OFF: "48, 79"}, 79, False),
        ({OFF: "all"}, 79, False),
        ({OFF: "xids"}, 79, False),
        ({OFF: "ALL"}, 79, False),
        ({ON: "31"}, 31, True),
        ({ON: "31"}, 13, False),
        ({ON: "all"}, 13, True),
        ({OFF: "79", ON: "79"}, 79, True),
        ({OFF: "all", ON: "79"}, 79, True),
        ({OFF: "all", ON: "79"}, 48, False),
        ({OFF: "xids", ON: "79"}, 79, True),
        ({OFF: "nonsense,,"}, 79, True),
        ({OFF: "", ON: ""}, 79, True),
    ],
)
def test_the_switches_of_nvidias_plugin_mean_what_it_promises(
    environment: Mapping[str, str], xid: int, *, expected: bool
) -> None:
    """Also that which it promises and does not do: all off but some."""
    assert counts(xid, environment) == expected


def test_settings_add_to_the_built_in_list() -> None:
    """And take from it."""
    assert not counts(94, {}, HealthSettings(ignore_xids=(94,)))
    assert counts(109, {}, HealthSettings(heed_xids=(109,)))


def test_all_checks_off_leaves_a_lost_gpu_healthy() -> None:
    """Whoever disables health checks has something else that checks."""
    book, rules = HealthBook(), Rules.of(HealthSettings(), {OFF: "all"})
    book.see(seen(lost="gone"), rules, 0)
    assert book.reason(ID) == ""


def seen(**conditions: str) -> View:
    return View(gpus=(Gpu(index=0, uuid=ID),), conditions={ID: conditions})


def heal_seconds(book: HealthBook, rules: Rules, start: int) -> int:
    """Return after how many seconds of looks without trouble a GPU is healthy again."""
    for second in range(5000):
        book.see(seen(), rules, start + second)
        if not book.reason(ID):
            return second
    raise AssertionError


def test_health_returns_after_the_hold_off() -> None:
    """A GPU that is well for a moment only gets no new pods."""
    book, rules = HealthBook(), Rules(hold_off_seconds=10)
    book.hear(Event(uuid=ID, xid=79), rules, 0)
    assert heal_seconds(book, rules, 0) == 10


def test_the_hold_off_begins_with_the_end_of_the_cause() -> None:
    """Not with its beginning."""
    book, rules = HealthBook(), Rules(hold_off_seconds=10)
    for second in range(100):
        book.see(seen(remap="pending"), rules, second)
    assert heal_seconds(book, rules, 100) == 10


def test_relapses_double_the_hold_off_up_to_an_hour() -> None:
    """A sick GPU does not go through pods one after the other."""
    book, rules, now = HealthBook(), Rules(hold_off_seconds=10), 0
    waits = []
    for _ in range(11):
        book.hear(Event(uuid=ID, xid=79), rules, now)
        waits.append(heal_seconds(book, rules, now))
        now += waits[-1]
    assert waits == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]


def test_relapses_without_end_change_nothing_more() -> None:
    """A GPU that flaps for days must not end the judging of all others."""
    book, rules = HealthBook(), Rules(hold_off_seconds=0)
    for second in range(0, 8000, 2):
        book.see(seen(remap="pending"), rules, second)
        assert book.reason(ID) == "pending"
        book.see(seen(), rules, second + 1)
        assert book.reason(ID) == ""


def test_a_gpu_that_cannot_be_judged_is_sick_alone_until_it_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A mistake of ours about one GPU must not freeze what is known of the others."""
    book, rules, other = HealthBook(), Rules(), uuid(1)
    view = View(conditions={ID: {}, other: {}})
    heal = HealthBook._heal

    def fail(book: HealthBook, gpu: str, *others: Any) -> None:
        if gpu == ID:
            raise OverflowError("a mistake of ours")
        heal(book, gpu, *others)

    book.hear(Event(uuid=other, xid=79), rules, 0)
    with monkeypatch.context() as patch:
        patch.setattr(HealthBook, "_heal", fail)
        book.see(view, rules, 0)
        book.see(view, rules, 100)
        assert "its health cannot be judged: OverflowError" in book.reason(ID)
        assert book.reason(other) == ""
    book.see(view, rules, 101)
    assert book.reason(ID) == ""


def test_a_relapse_long_after_is_none() -> None:
    """The node is not punished for last year."""
    book, rules = HealthBook(), Rules(hold_off_seconds=10)
    book.hear(Event(uuid=ID, xid=79), rules, 0)
    heal_seconds(book, rules, 0)
    book.hear(Event(uuid=ID, xid=79), rules, 10_000)
    assert heal_seconds(book, rules, 10_000) == 10


def test_a_repeated_error_begins_the_hold_off_anew() -> None:
    """The cause is not gone."""
    book, rules = HealthBook(), Rules(hold_off_seconds=10)
    for second in (0, 5, 9):
        book.hear(Event(uuid=ID, xid=79), rules, second)
        book.see(seen(), rules, second)
    assert heal_seconds(book, rules, 10) == 9


def test_an_error_does_not_heal_while_something_else_is_wrong() -> None:
    """A GPU that fell off the bus has not got over the reason."""
    book, rules = HealthBook(), Rules(hold_off_seconds=1)
    book.hear(Event(uuid=ID, xid=79), rules, 0)
    for second in range(10):
        book.see(seen(lost="gone"), rules, second)
    assert book.reason(ID) == "XID 79: fallen off the bus; gone"


def test_a_driver_that_was_away_needs_no_hold_off() -> None:
    """Nothing was wrong with the GPU."""
    book, rules = HealthBook(), Rules(hold_off_seconds=10)
    book.see(seen(driver="Driver Not Loaded"), rules, 0)
    assert heal_seconds(book, rules, 1) == 0


def test_a_gpu_stays_sick_until_a_restart_where_the_operator_wants_it() -> None:
    """Sites that look at every fault by hand."""
    book = HealthBook()
    rules = Rules.of(HealthSettings(recovery="untilRestart"), {})
    book.hear(Event(uuid=ID, xid=79), rules, 0)
    book.see(seen(), rules, 1_000_000)
    assert book.reason(ID)
