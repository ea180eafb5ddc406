"""Claims about the memory of ids and groups."""

import logging
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodeplug.host import identities
from nodeplug.host.fallbacks import fallbacks
from nodeplug.host.files import write_atomically
from nodeplug.host.identities import Claim, Identities, natural


def stick(port: str, serial: str = "S") -> Claim:
    """Return a thing that others may be mistaken for, known by its port besides."""
    return Claim(f"{serial}@{port}", (serial, f"{serial}-{port}"), serial)


def part(number: int, kin: str = "input") -> Claim:
    """Return a part of a device that the kernel numbers anew at each plugging."""
    return Claim(f"{kin}{number}", (kin, f"{kin}-more"), kin, ordered=True)


def ids(memory: Identities, *wanted: Claim, scope: str = "test") -> list[str]:
    return memory.assign(scope, wanted)


def test_a_thing_keeps_its_id_whatever_comes_and_goes_beside_it() -> None:
    """The newcomers get the longer ones, and the former id is nobody else's meanwhile."""
    memory = Identities()
    assert ids(memory, stick("1")) == ["S"]
    assert ids(memory, stick("0"), stick("1"), stick("2")) == ["S-0", "S", "S-2"]
    assert ids(memory, stick("2"), stick("3")) == ["S-2", "S-3"]
    assert ids(memory, stick("1"), stick("0")) == ["S", "S-0"]


def test_of_several_new_things_that_nothing_tells_apart_none_gets_the_short_id() -> None:
    """It may have been either's."""
    assert ids(Identities(), stick("2"), stick("10")) == ["S-2", "S-10"]


def test_a_thing_that_was_alone_has_its_id_at_another_place() -> None:
    """Until there were two."""
    memory = Identities()
    assert ids(memory, stick("1")) == ["S"]
    assert ids(memory, stick("2")) == ["S"]
    assert ids(memory, stick("2"), stick("1")) == ["S", "S-1"]
    assert ids(memory, stick("3")) == ["S-3"]


def test_two_that_come_for_one_that_is_gone_do_not_get_its_id() -> None:
    """Nobody can say which of them it is."""
    memory = Identities()
    ids(memory, stick("1"))
    assert ids(memory, stick("2"), stick("3")) == ["S-2", "S-3"]
    assert ids(memory, stick("1")) == ["S"]


def test_parts_that_come_back_under_other_numbers_keep_their_order() -> None:
    """Numbers are compared as numbers: 100 comes after 99."""
    memory = Identities()
    assert ids(memory, part(99), part(100), part(101)) == ["input", "input-more", "input-more-2"]
    assert ids(memory, part(100)) == ["input-more"]
    assert ids(memory) == []
    assert ids(memory, part(1000)) == ["input"]
    assert ids(memory, part(1000), part(1001)) == ["input", "input-more"]
    assert ids(memory, part(1002), part(1001), part(1000)) == [
        "input-more-2",
        "input-more",
        "input",
    ]


def test_new_parts_get_their_ids_in_order() -> None:
    """Whatever the order in which they are named."""
    assert ids(Identities(), part(100), part(99)) == ["input-more", "input"]


def test_an_id_that_is_numbered_stays_an_id() -> None:
    """However long the name is."""
    memory = Identities()
    [_, second] = ids(memory, Claim("a", ("x" * 56,)), Claim("b", ("x" * 56,)))
    assert second == "x" * 54 + "-2"


def test_one_thing_claimed_twice_has_one_id() -> None:
    """Two entries of a configuration may select it."""
    assert ids(Identities(), stick("1"), stick("1")) == ["S", "S"]


def test_scopes_know_nothing_of_each_other() -> None:
    """A name is free in each."""
    memory = Identities()
    assert ids(memory, stick("1"), scope="a") == ids(memory, stick("2"), scope="b") == ["S"]


def test_what_does_not_last_is_known_while_it_is_there(tmp_path: Path) -> None:
    """And never written."""
    memory = Identities(tmp_path / "f")
    one, two = Claim("1", ("a", "b")), Claim("2", ("a", "b"))
    assert memory.assign("test", [two], lasting=False) == ["a"]
    assert memory.assign("test", [one, two], lasting=False) == ["b", "a"]
    assert memory.assign("test", [], lasting=False) == []
    assert memory.assign("test", [one, two], lasting=False) == ["a", "b"]
    assert not (tmp_path / "f").exists()


def test_the_last_thousand_of_what_is_gone_is_remembered() -> None:
    """The oldest is forgotten first; what is there never."""
    memory = Identities()
    here, first = Claim("here", ("n",)), Claim("first", ("n",))
    assert ids(memory, here) == ["n"]
    assert ids(memory, here, first) == ["n", "n-2"]
    for number in range(1000):
        ids(memory, here, Claim(f"{number}", (f"m{number}",)))
    assert ids(memory, here, Claim("other", ("n",))) == ["n", "n-2"]


def test_all_is_as_it_was_after_a_restart(tmp_path: Path) -> None:
    """Ids of what was there and of what was gone, and groups."""
    file = tmp_path / "below/identities.json"
    memory = Identities(file)
    ids(memory, stick("1"))
    ids(memory, stick("1"), stick("0"))
    ids(memory, stick("0"))
    memory.groups("test", [["a1", "a2"], ["b2"]])
    again = Identities(file)
    assert ids(again, stick("0"), stick("1")) == ["S-0", "S"]
    assert again.groups("test", [["a1", "a2"], ["b1", "b2"]]) == [("a1", "b2"), ("a2", "b1")]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_nothing_is_written_when_nothing_changed(tmp_path: Path) -> None:
    """A look without news costs no write."""
    file = tmp_path / "f"
    ids(Identities(file), stick("1"))
    before = file.stat().st_ino
    memory = Identities(file)
    ids(memory, stick("1"))
    ids(memory)
    assert file.stat().st_ino == before


def test_text_that_is_no_unicode_is_kept(tmp_path: Path) -> None:
    """Names of files may be any bytes."""
    name = os.fsdecode(b"/dev/\xff")
    ids(Identities(tmp_path / "f"), Claim(name, ("a",)))
    assert ids(Identities(tmp_path / "f"), Claim("b", ("a",)), Claim(name, ("z",))) == ["a-2", "a"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b'{"things": {"test": [{"id": 1}]}}', b"[" * 100_000],
    ids=["empty", "half", "bytes", "shape", "types", "depth"],
)
def test_a_spoilt_file_is_ignored_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    """And replaced by the next write."""
    file = tmp_path / "f"
    file.write_bytes(content)
    assert ids(Identities(file), stick("1")) == ["S"]
    assert [record.message for record in caplog.records] == ["identities not read"]
    assert ids(Identities(file), stick("1"), stick("0")) == ["S", "S-0"]
    assert len(caplog.records) == 1


def test_a_file_that_gives_one_id_twice_is_believed_once(tmp_path: Path) -> None:
    """No two things ever have the same id."""
    thing = '{"identity": "S@%s", "id": "S", "kin": "S"}'
    content = f'{{"things": {{"test": [{thing % 1}, {thing % 2}]}}, "groups": {{"g": [["a"]]}}}}'
    (tmp_path / "f").write_text(content)
    memory = Identities(tmp_path / "f")
    assert ids(memory, stick("1"), stick("2")) == ["S", "S-2"]
    assert memory.groups("g", [["a"], ["b"]]) == [("a", "b")]


def test_a_disk_that_cannot_be_written_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The memory goes on in memory; what it could not write is written as soon as it can be."""
    (tmp_path / "folder").write_text("in the way")
    memory = Identities(tmp_path / "folder/f")
    with caplog.at_level(logging.WARNING, "nodeplug.host"):
        ids(memory, stick("1"))
        assert ids(memory, stick("0"), stick("1")) == ["S-0", "S"]
    told = [record.message for record in caplog.records]
    assert told == ["identities not read", "identities not kept"]
    (tmp_path / "folder").unlink()
    ids(memory, stick("0"), stick("1"))
    assert ids(Identities(tmp_path / "folder/f"), stick("1"), stick("0")) == ["S", "S-0"]


@pytest.fixture(name="stuck")
def _stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Give what a disk that hangs waits for."""
    goes_on = threading.Event()

    def hang(path: Path, data: bytes) -> None:
        goes_on.wait(20)
        write_atomically(path, data)

    monkeypatch.setattr(identities, "write_atomically", hang)
    monkeypatch.setattr(identities, "_PATIENCE_SECONDS", 0.01)
    yield goes_on
    goes_on.set()


def test_a_disk_that_hangs_holds_up_nobody(
    tmp_path: Path, stuck: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    """What happened meanwhile is written when it answers."""
    memory = Identities(tmp_path / "f")
    ids(memory, stick("1"))
    assert ids(memory, stick("1"), stick("0")) == ["S", "S-0"]
    assert [record.message for record in caplog.records] == ["identities not kept"]
    assert "ids of devices" in fallbacks()
    [writer] = [thread for thread in threading.enumerate() if thread.name == "identities"]
    stuck.set()
    writer.join()
    assert fallbacks() == {}
    assert ids(Identities(tmp_path / "f"), stick("0")) == ["S-0"]


def test_groups_stay_together() -> None:
    """What is left of one is in no other; what is new is put together in order."""
    memory = Identities()
    assert memory.groups("g", [["a0", "a1"], ["b0", "b1"]]) == [("a0", "b0"), ("a1", "b1")]
    assert memory.groups("g", [["a1"], ["b0", "b1"]]) == [("a0", "b0"), ("a1", "b1")]
    assert memory.groups("g", [["a1"], ["b1", "b2"]]) == [("a1", "b1")]
    both = memory.groups("g", [["a0", "a1", "a2"], ["b0", "b1", "b2"]])
    assert both == [("a0", "b0"), ("a1", "b1"), ("a2", "b2")]


def test_nothing_is_a_member_twice() -> None:
    """Two columns may have the same."""
    assert Identities().groups("g", [["a", "b"], ["a", "b", "c"]]) == [("a", "c")]


def test_an_optional_member_joins_later_and_stays() -> None:
    """While it is gone its place is not another's."""
    memory = Identities()
    two = [["a0", "a1"], ["b0", "b1"]]
    assert memory.groups("g", [*two, []], {2}) == [("a0", "b0", ""), ("a1", "b1", "")]
    assert memory.groups("g", [*two, ["c5"]], {2}) == [("a0", "b0", "c5"), ("a1", "b1", "")]
    assert memory.groups("g", [*two, ["c6"]], {2}) == [("a0", "b0", "c5"), ("a1", "b1", "c6")]


def test_where_all_are_optional_what_is_there_is_a_group() -> None:
    """Columns without anything do not count; what comes later joins what lacks it."""
    memory, optional = Identities(), {0, 1}
    assert memory.groups("g", [[], []], optional) == []
    assert memory.groups("g", [[], ["b0"]], optional) == [("", "b0")]
    assert memory.groups("g", [["a0"], ["b0"]], optional) == [("a0", "b0")]
    assert memory.groups("g", [["a0"], []], optional) == [("a0", "b0")]
    both = memory.groups("g", [["a0", "a1"], ["b0", "b1", "b2"]], optional)
    assert both == [("a0", "b0"), ("a1", "b1")]


def test_a_thousand_groups_that_lack_something_are_remembered() -> None:
    """And all that are complete."""
    memory = Identities()
    many = [[f"{kind}{number}" for number in range(1200)] for kind in "ab"]
    assert len(memory.groups("g", many)) == 1200
    assert len(memory.groups("g", [many[0], []])) == 1000


def test_threads_may_ask_at_once(tmp_path: Path) -> None:
    """Each backend looks on a thread of its own."""
    memory = Identities(tmp_path / "f")

    def look(name: str) -> None:
        for number in range(20):
            memory.assign(name, [stick(f"{each}") for each in range(number)])

    threads = [threading.Thread(target=look, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = Identities(tmp_path / "f")
    claims = [stick(f"{number}") for number in range(19)]
    wanted = ["S", *(f"S-{number}" for number in range(1, 19))]
    assert [again.assign(name, claims) for name in "abcd"] == [wanted] * 4


def test_numbers_are_sorted_as_numbers() -> None:
    """However long they are, with and without zeros before them."""
    texts = ["b" + "9" * 5000, "a10b", "b", "a10", "a2", "a1", "a01", "a", "1"]
    assert sorted(texts, key=natural) == ["1", "a", "a01", "a1", "a2", "a10", "a10b", "b", texts[0]]


def test_a_mark_stays_until_it_is_known_to_be_gone(tmp_path: Path) -> None:
    """Over a restart, too; nobody else's goes."""
    file = tmp_path / "identities.json"
    assert Identities(file).marks("a", {"one", "two"}, ()) == {"one", "two"}
    assert Identities(file).marks("a", (), {"two"}) == {"one"}
    assert Identities(file).marks("a", (), {"three"}) == {"one"}
    assert Identities(file).marks("b", (), ()) == frozenset()
