"""What may be in use, and what proves that it is not."""

import time
from contextlib import ExitStack, nullcontext, suppress

import pytest
from msgspec.structs import replace

from nodeplug.holdings import Holdings, Key, Listing, Record, hold
from nodeplug.host.ledger import LedgerEntry
from nodeplug.values.errors import AllocationRefusedError
from nodeplug.values.hardware import EXCLUSIVE, PART, SHARED
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


COMMON = "example.com/shared"


@pytest.mark.parametrize(
    ("held", "wanted", "given"),
    [
        ((RESOURCE, "a"), (RESOURCE, "a"), True),
        ((RESOURCE, "a"), (RESOURCE, "b"), True),
        ((RESOURCE, "a::0"), (RESOURCE, "a::3"), True),
        ((RESOURCE, "a"), (RESOURCE, "a::0"), False),
        ((RESOURCE, "a::0"), (RESOURCE, "a"), False),
        ((RESOURCE, "a"), (COMMON, "a"), False),
        ((RESOURCE, "a::0"), (COMMON, "a::0"), False),
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
    holdings.observe(listing(held=[(COMMON, "a")], started=time.monotonic()))
    with pytest.raises(AllocationRefusedError), holdings.allocating(RESOURCE, ["b", "a"]):
        pass
    with holdings.allocating(COMMON, ["b"]):
        pass


OTHER = "example.com/other"
NODE, CONTROL = "char 60:1", "char 60:9"
BOTH = {"a": True, "b": True}


def seen(key: Key, *nodes: str, started: float = 0) -> Listing:
    """Return what a kubelet says that has a container's answer with these nodes on record."""
    started = started or time.monotonic()
    named = {key: {node: {node: EXCLUSIVE} for node in nodes}}
    return Listing(started, {key: ()}, {key: Record(paths=frozenset(nodes))}, started, named)


def test_another_id_with_the_same_hardware_is_not_given() -> None:
    """Whatever it is called, and under whatever name."""
    holdings = Holdings()
    holdings.offer(RESOURCE, {"a": True}, {"a": {NODE: EXCLUSIVE}})
    with holdings.allocating(RESOURCE, ["a"]):
        pass
    holdings.offer(OTHER, {"b": True}, {"b": {NODE: EXCLUSIVE}})
    with pytest.raises(AllocationRefusedError, match=f"in use as a of {RESOURCE}: both are {NODE}"):
        holdings.allocating(OTHER, ["b"]).__enter__()


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        (EXCLUSIVE, EXCLUSIVE, False),
        (EXCLUSIVE, PART, False),
        (PART, EXCLUSIVE, False),
        (PART, PART, True),
        (SHARED, SHARED, True),
        (SHARED, PART, False),
        ("a group", "a group", True),
        ("a group", "another group", False),
    ],
)
def test_hardware_is_used_together_only_in_the_same_way(
    one: str,
    other: str,
    together: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Parts beside parts, a group within itself, nothing beside what is used alone."""
    holdings = Holdings()
    holdings.offer(RESOURCE, BOTH, {"a": {NODE: one}, "b": {NODE: other}})
    with holdings.allocating(RESOURCE, ["a"]):
        pass
    expected = nullcontext() if together else pytest.raises(AllocationRefusedError)
    with expected, holdings.allocating(RESOURCE, ["b"]):
        pass


def test_ids_of_one_request_do_not_exclude_each_other() -> None:
    """One container may well have both."""
    holdings = Holdings()
    holdings.offer(RESOURCE, BOTH, {"a": {NODE: EXCLUSIVE}, "b": {NODE: EXCLUSIVE}})
    with holdings.allocating(RESOURCE, ["a", "b"]):
        pass


def test_another_plugin_s_answer_holds_the_nodes_in_it() -> None:
    """The kubelet has it on record."""
    holdings = Holdings()
    holdings.offer(RESOURCE, {"a": True}, {"a": {NODE: EXCLUSIVE}})
    holdings.observe(seen(("vendor.example/x", "0"), NODE))
    assert holdings.holder_besides(RESOURCE, "a") == ("vendor.example/x", "0")


def test_another_plugin_s_id_says_nothing_beside_its_nodes() -> None:
    """Ids are unique among ours only (R23)."""
    holdings = Holdings()
    holdings.offer(RESOURCE, {"a": True}, {"a": {NODE: EXCLUSIVE}})
    holdings.observe(seen(("vendor.example/x", "a"), "char 60:7"))
    assert holdings.holder_besides(RESOURCE, "a") is None


def test_a_node_that_only_accompanies_a_device_holds_nothing() -> None:
    """An answer names the control node of a driver, too; others need it as well."""
    holdings = Holdings()
    uses = {"a": {NODE: EXCLUSIVE}, "b": {"char 60:2": EXCLUSIVE, CONTROL: SHARED}}
    holdings.offer(RESOURCE, BOTH, uses, nodes=lambda i: uses[i].keys())
    holdings.observe(seen((RESOURCE, "a"), NODE, CONTROL))
    assert holdings.holder_besides(RESOURCE, "b") is None


def test_a_node_that_a_device_no_longer_has_is_held_with_it() -> None:
    """Its container has the node that the answer names, whosever it is now."""
    holdings = Holdings()
    uses = {"a": {"char 60:2": EXCLUSIVE}, "b": {NODE: EXCLUSIVE}}
    holdings.offer(RESOURCE, BOTH, uses, nodes=lambda i: uses[i].keys())
    holdings.observe(seen((RESOURCE, "a"), NODE))
    assert holdings.holder_besides(RESOURCE, "b") == (RESOURCE, "a")


def test_a_device_that_is_gone_holds_no_nodes_of_what_was_given_with_it() -> None:
    """Where nobody remembers what it was; the other is held, and shared, as its own id says."""
    holdings = Holdings()
    group = f"replicas of {RESOURCE}"
    nodes = {"a": {NODE: group}}
    holdings.offer(RESOURCE, {"a": True}, nodes, nodes=lambda i: nodes[i].keys())
    keys = frozenset({(RESOURCE, "a::0"), (RESOURCE, "b::0")})
    both = {NODE: {NODE: EXCLUSIVE}, "char 60:9": {"char 60:9": EXCLUSIVE}}
    record = Record(paths=frozenset(both), together=keys)
    now = time.monotonic()
    records = dict.fromkeys(keys, record)
    holdings.observe(Listing(now, {}, records, named=dict.fromkeys(keys, both)))
    assert holdings.holder_besides(RESOURCE, "a::1") is None
    assert holdings.holder_besides(RESOURCE, "a") == (RESOURCE, "a::0")


@pytest.mark.parametrize("hold_seconds", [0.0, 60.0])
def test_a_hold_ends_no_sooner_than_its_answer_is_written(
    monkeypatch: pytest.MonkeyPatch, hold_seconds: float
) -> None:
    """A checkpoint whose writing began before the answer lacks it."""
    monkeypatch.setattr(hold, "WRITE_SECONDS", hold_seconds)
    holdings = Holdings()
    with holdings.allocating(RESOURCE, ["a"]):
        pass
    observe_free(holdings)
    assert holdings.handed_out(*KEY) == bool(hold_seconds)


def test_a_checkpoint_that_was_not_written_since_frees_nothing() -> None:
    """It may be older than the answer, however often it is read."""
    holdings = Holdings()
    with holdings.allocating(RESOURCE, ["a"]):
        pass
    for _ in range(3):
        said = replace(listing(started=time.monotonic()), written="once")
        holdings.observe(said)
    assert holdings.handed_out(*KEY)


def test_a_pod_with_processes_holds_what_the_kubelet_has_forgotten() -> None:
    """It was deleted by force; for other names its devices are not free."""
    holdings = Holdings()
    said = seen(KEY, NODE)
    record = Record(pods=frozenset({"uid"}))
    holdings.observe(replace(said, recorded={KEY: record}))
    for _ in range(3):
        holdings.observe(listing(started=time.monotonic()))
    before = holdings.handed_out(*KEY)
    holdings.observe(replace(listing(started=time.monotonic()), ended=frozenset({"uid"})))
    assert (before, holdings.handed_out(*KEY)) == (True, False)


def test_a_pod_with_processes_holds_what_the_next_pod_had_too() -> None:
    """The kubelet may give an id again after a forced deletion; its old record tells of one pod."""
    holdings = Holdings()
    for uid in ("first", "second"):
        record = Record(pods=frozenset({uid}))
        holdings.observe(replace(seen(KEY, NODE), recorded={KEY: record}))
    silent = replace(listing(recorded=(), started=time.monotonic()), stale=frozenset({KEY}))
    holdings.observe(silent)
    before = holdings.handed_out(*KEY)
    holdings.observe(replace(silent, started=time.monotonic(), ended=frozenset({"first"})))
    assert (before, holdings.handed_out(*KEY)) == (True, False)


def renewed(holdings: Holdings) -> None:
    """Let an id be given again, to another pod, when its device has become another one."""
    holdings.offer(OTHER, {"b": True}, {"b": {NODE: EXCLUSIVE}})
    for uid, number in (("first", NODE), ("second", "char 60:9")):
        holdings.offer(RESOURCE, {"a": True}, {"a": {number: EXCLUSIVE}})
        with holdings.allocating(RESOURCE, ["a"]):
            pass
        holdings.observe(of_pod(uid))


def of_pod(*pods: str, ended: str = "") -> Listing:
    """Return a listing in which pods have the id, and one has ended."""
    said = listing(held=[KEY], started=time.monotonic())
    recorded = {KEY: Record(pods=frozenset(pods))}
    return replace(said, recorded=recorded, ended=frozenset({ended}))


def test_what_an_id_was_given_as_before_is_free_when_its_pod_has_ended() -> None:
    """The next pod that has the id may run for months."""
    holdings = Holdings()
    renewed(holdings)
    before = holdings.holder_besides(OTHER, "b")
    holdings.observe(of_pod("second", ended="first"))
    assert (before, holdings.holder_besides(OTHER, "b")) == (KEY, None)
    [entry] = holdings.settled([LedgerEntry(*KEY, 0.0, {NODE: EXCLUSIVE})])
    assert NODE not in entry.hardware


def test_what_an_id_was_given_as_before_is_held_while_that_is_on_record() -> None:
    """The kubelet has not written down yet who has it now."""
    holdings = Holdings()
    renewed(holdings)
    holdings.observe(of_pod("first", "second", ended="first"))
    assert holdings.holder_besides(OTHER, "b") == KEY


def test_an_answer_that_failed_takes_nothing_from_those_who_have_the_id() -> None:
    """What it would have given is not what they got."""
    holdings = Holdings()
    renewed(holdings)
    holdings.offer(RESOURCE, {"a": True}, {"a": {"char 60:8": EXCLUSIVE}})
    with suppress(RuntimeError), holdings.allocating(RESOURCE, ["a"]):
        raise RuntimeError
    holdings.observe(of_pod("second", ended="first"))
    holdings.offer(OTHER, {"b": True}, {"b": {"char 60:9": EXCLUSIVE}})
    assert holdings.holder_besides(OTHER, "b") == KEY


def test_of_two_devices_that_exclude_each_other_one_is_offered() -> None:
    """What is allocatable must be given at once: the backend's own name comes first."""
    holdings = Holdings()
    holdings.offer(OTHER, {"b": True}, {"b": {NODE: EXCLUSIVE}}, renamed=True)
    holdings.offer(RESOURCE, {"a": True}, {"a": {NODE: EXCLUSIVE}})
    assert holdings.rival(RESOURCE, "a") is None
    assert holdings.rival(OTHER, "b") == ((RESOURCE, "a"), NODE)


def test_a_sick_device_does_not_keep_another_from_being_offered() -> None:
    """It cannot be given anyway."""
    holdings = Holdings()
    holdings.offer(RESOURCE, {"a": False}, {"a": {NODE: EXCLUSIVE}})
    holdings.offer(OTHER, {"b": True}, {"b": {NODE: EXCLUSIVE}})
    assert holdings.rival(OTHER, "b") is None


def test_a_whole_and_its_parts_are_not_offered_at_once() -> None:
    """Parts beside each other are."""
    holdings = Holdings()
    parts = {f"part{n}": {NODE: PART, f"x {n}": EXCLUSIVE} for n in range(3)}
    holdings.offer(RESOURCE, dict.fromkeys(parts, True), parts)
    holdings.offer(OTHER, {"whole": True}, {"whole": {NODE: EXCLUSIVE}})
    assert holdings.rival(OTHER, "whole") == ((RESOURCE, "part0"), NODE)
    assert not any(holdings.rival(RESOURCE, part) for part in parts)


def test_a_hold_that_is_forgotten_is_in_nobody_s_way_and_stays_listed() -> None:
    """R33: whoever forgets it may be wrong."""
    holdings = Holdings()
    with holdings.allocating(RESOURCE, ["a"]):
        holdings.bury(RESOURCE, ["a"])
    assert holdings.forget(RESOURCE, "a", time.monotonic()) == ""
    assert holdings.is_buried(*KEY)
    assert holdings.holder_besides(OTHER, "a") is None


def test_what_was_given_later_is_not_forgotten() -> None:
    """Somebody asked for something else to be."""
    holdings = Holdings()
    asked = time.monotonic()
    with holdings.allocating(RESOURCE, ["a"]):
        pass
    assert holdings.forget(RESOURCE, "a", asked) == "a container was given it since"


def test_what_has_come_to_a_path_of_a_container_is_held_too() -> None:
    """It gets that when it starts again (R45); what was there before, it has."""
    holdings = Holdings()
    uses = {"a": {NODE: EXCLUSIVE}, "b": {CONTROL: EXCLUSIVE}}
    holdings.offer(RESOURCE, BOTH, uses, nodes=lambda i: {i})
    record = {(RESOURCE, "a"): Record(paths=frozenset({"a"}))}
    for number in (NODE, CONTROL):
        named = {(RESOURCE, "a"): {"a": {number: EXCLUSIVE}}}
        now = time.monotonic()
        holdings.observe(Listing(now, {(RESOURCE, "a"): ()}, record, now, named))
    assert holdings.holder_besides(RESOURCE, "b") == (RESOURCE, "a")


def test_what_nobody_has_alone_is_given_under_several_names() -> None:
    """The id of a device that many may open is not what they collide on."""
    holdings = Holdings()
    uses = {"a": {"id a": SHARED, NODE: SHARED}}
    for resource in (RESOURCE, OTHER):
        holdings.offer(resource, {"a": True}, uses)
        with holdings.allocating(resource, ["a"]):
            pass


def test_a_device_that_cannot_be_given_does_not_keep_others_from_being_offered() -> None:
    """A whole of which a part is in use: the other part can be given."""
    holdings = Holdings()
    holdings.offer(RESOURCE, {"whole": True}, {"whole": {"x": EXCLUSIVE, NODE: PART}})
    parts = {"part1": {"x": PART, "x 1": EXCLUSIVE}, "part2": {"x": PART, "x 2": EXCLUSIVE}}
    holdings.offer(OTHER, dict.fromkeys(parts, True), parts)
    holdings.observe(seen(("vendor.example/x", "0"), "x 1"))
    holdings.learn(
        [LedgerEntry("gone.example/x", "z", time.monotonic(), {"x": PART, "x 3": EXCLUSIVE})]
    )
    assert holdings.rival(OTHER, "part2") is None


def test_a_hold_of_ours_that_the_ledger_lacks_is_told() -> None:
    """Only who offers a device knows what hardware the id of an answer without nodes is."""
    holdings = Holdings()
    holdings.offer(RESOURCE, {"a": True}, {"a": {NODE: EXCLUSIVE}})
    holdings.observe(listing(held=[KEY], recorded=[KEY], started=time.monotonic()))
    [entry] = holdings.untold(())
    assert (entry.key, entry.hardware[NODE]) == (KEY, EXCLUSIVE)
    assert holdings.untold({KEY}) == []


def test_a_device_that_is_offered_shared_now_is_held_as_it_was_given() -> None:
    """The id that has left stays buried, and its container shares with nobody."""
    holdings = Holdings()
    holdings.offer(RESOURCE, {"a": True}, {"a": {NODE: EXCLUSIVE}})
    with holdings.allocating(RESOURCE, ["a"]):
        pass
    holdings.offer(RESOURCE, {"a": True}, {"a": {NODE: "replicas of " + RESOURCE}})
    holdings.bury(RESOURCE, ["a"])
    assert holdings.holder_besides(RESOURCE, "a::0") == (RESOURCE, "a")
