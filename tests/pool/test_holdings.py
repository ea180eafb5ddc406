"""What may be in use, and what proves that it is not."""

import time
from contextlib import ExitStack, nullcontext, suppress

import pytest

from nodeplug.holdings import Holdings, Key, Record, hold
from nodeplug.values.errors import AllocationRefusedError
from support.listing import RESOURCE, listing

KEY = (RESOURCE, "a")


@pytest.fixture(autouse=True)
def _write_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "WRITE_SECONDS", 0.0)


def observe_free(holdings: Holdings) -> None:
    """Let pod resources show nothing, and then a checkpoint that was written after that."""
    holdings.observe(listing(started=time.monotonic()))
    holdings.observe(listing(started=time.monotonic()))


def test_an_id_in_a_running_allocate_is_not_freed() -> None:
    """R33: the kubelet crashes at the reply if the id has left the list."""
    holdings = Holdings()
    with holdings.allocating(RESOURCE, ["a"]):
        holdings.bury(RESOURCE, ["a"])
        holdings.observe(listing(started=time.monotonic()))
        assert holdings.is_buried(*KEY)


def test_an_allocated_id_that_the_checkpoint_records_is_not_freed() -> None:
    """R86: pod resources does not show what an ordinary init container holds."""
    holdings = Holdings()
    with holdings.allocating(RESOURCE, ["a"]):
        pass
    holdings.bury(RESOURCE, ["a"])
    holdings.observe(listing(recorded=[KEY], started=time.monotonic()))
    assert holdings.is_buried(*KEY)


def test_an_allocated_id_is_not_freed_while_the_checkpoint_is_unreadable() -> None:
    """No evidence is no evidence."""
    holdings = Holdings()
    with holdings.allocating(RESOURCE, ["a"]):
        pass
    holdings.bury(RESOURCE, ["a"])
    holdings.observe(listing(recorded=None, started=time.monotonic()))
    assert holdings.is_buried(*KEY)


def test_an_allocated_id_is_freed_once_neither_source_has_it() -> None:
    """A pod refused after Allocate (R40) leaves no trace in either."""
    holdings = Holdings()
    with holdings.allocating(RESOURCE, ["a"]):
        pass
    holdings.bury(RESOURCE, ["a"])
    observe_free(holdings)
    assert not holdings.is_buried(*KEY)


def test_what_is_recorded_is_not_freed_whoever_handed_it_out() -> None:
    """R47: a kubelet that has just started knows no pods; one killed has those back that ended."""
    holdings = Holdings()
    holdings.bury(RESOURCE, ["a"])
    holdings.observe(listing(recorded=[KEY], started=time.monotonic()))
    assert holdings.is_buried(*KEY)


def test_what_is_recorded_is_in_use_before_the_kubelet_is_asked() -> None:
    """It may not answer before the first list is sent."""
    holdings = Holdings()
    holdings.presume({KEY: Record((1,))}, {})
    assert holdings.held_in(RESOURCE) == {"a": (1,)}
    assert holdings.holder_besides("example.com/other", "a") == (RESOURCE, "a")


def test_a_record_is_doubtful_only_where_it_holds_something_back() -> None:
    """To have it written anew costs the kubelet a write; other plugins' devices are in it, too."""
    holdings = Holdings()
    holdings.bury(RESOURCE, ["a"])
    keys = [(RESOURCE, device_id) for device_id in ("a", "b::1", "c")]
    holdings.observe(listing(recorded=keys, started=time.monotonic()))
    holdings.want((RESOURCE, "b::1"))
    assert holdings.awaiting_write() == set(keys[:2])


def test_a_listing_begun_before_an_allocate_ended_frees_nothing() -> None:
    """R33: the kubelet records the device only after our reply."""
    holdings = Holdings()
    with holdings.allocating(RESOURCE, ["a"]):
        holdings.bury(RESOURCE, ["a"])
        begun = time.monotonic()
    holdings.observe(listing(started=begun))
    assert holdings.is_buried(*KEY)


def test_a_failed_allocate_leaves_nothing_in_doubt() -> None:
    """Nothing was handed out."""
    holdings = Holdings()
    with suppress(RuntimeError), holdings.allocating(RESOURCE, ["a"]):
        raise RuntimeError
    holdings.bury(RESOURCE, ["a"])
    holdings.observe(listing(recorded=None, started=time.monotonic()))
    assert not holdings.is_buried(*KEY)


def test_there_is_doubt_only_while_a_listing_could_change_something() -> None:
    """An idle node is not polled."""
    holdings = Holdings()
    before = holdings.doubt.is_set()
    holdings.bury(RESOURCE, ["a"])
    during = holdings.doubt.is_set()
    holdings.observe(listing(started=time.monotonic()))
    assert (before, during, holdings.doubt.is_set()) == (False, True, False)


def test_a_replica_in_use_blocks_its_device_elsewhere() -> None:
    """The id of a replica is "<device>::<n>"."""
    holdings = Holdings()
    holdings.observe(listing(held=[("example.com/shared", "a::3")], started=time.monotonic()))
    assert holdings.holder_besides(RESOURCE, "a") == ("example.com/shared", "a::3")


SHARED = "example.com/shared"


@pytest.mark.parametrize(
    ("held", "wanted", "given"),
    [
        ((RESOURCE, "a"), (RESOURCE, "a"), True),
        ((RESOURCE, "a"), (RESOURCE, "b"), True),
        ((RESOURCE, "a::0"), (RESOURCE, "a::3"), True),
        ((RESOURCE, "a"), (RESOURCE, "a::0"), False),
        ((RESOURCE, "a::0"), (RESOURCE, "a"), False),
        ((RESOURCE, "a"), (SHARED, "a"), False),
        ((RESOURCE, "a::0"), (SHARED, "a::0"), False),
    ],
)
@pytest.mark.parametrize("since", ["in flight", "answered", "listed"])
def test_what_is_in_use_is_given_again_by_the_same_key_or_a_replica_only(
    held: Key,
    wanted: Key,
    given: bool,  # noqa: FBT001 - a parameter of the test
    since: str,
) -> None:
    """However late lists are: it is decided when a container asks."""
    holdings = Holdings()
    if since == "listed":
        holdings.observe(listing(held=[held], started=time.monotonic()))
    with ExitStack() as asking:
        asking.enter_context(holdings.allocating(held[0], [held[1]]))
        if since != "in flight":
            asking.close()
        expected = nullcontext() if given else pytest.raises(AllocationRefusedError, match="in use")
        with expected, holdings.allocating(wanted[0], [wanted[1]]):
            pass


def test_a_request_that_was_refused_holds_nothing() -> None:
    """Not even those of its devices that were free."""
    holdings = Holdings()
    holdings.observe(listing(held=[(SHARED, "a")], started=time.monotonic()))
    with pytest.raises(AllocationRefusedError), holdings.allocating(RESOURCE, ["b", "a"]):
        pass
    with holdings.allocating(SHARED, ["b"]):
        pass
