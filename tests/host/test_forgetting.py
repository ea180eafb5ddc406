"""Requests to end a hold: files that whoever writes there must not turn against the agents."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nodeplug.host import forgetting
from nodeplug.host.forgetting import LIFE_SECONDS, Request, Taken, answers, ask, done, requests
from nodeplug.host.ledger import Ledger, LedgerEntry
from nodeplug.host.ledger_view import written_down


def request(device: str = "one", **facts: Any) -> Request:
    made = Request.of("a.b/c", device, "it is free", "somebody")
    return msgspec.structs.replace(made, **facts)


def test_a_request_is_read_by_every_agent_as_often_as_it_looks(tmp_path: Path) -> None:
    """It is no message to one of them."""
    wanted = [request("one"), request("two")]
    for each in wanted:
        ask(tmp_path, each)
    for _ in range(2):
        assert sorted(requests(tmp_path), key=lambda each: each.device) == wanted


def test_what_agents_make_of_it_is_told_to_whoever_asked(tmp_path: Path) -> None:
    """The last word of each; what was said of a former request does not count."""
    first = request()
    ask(tmp_path, first)
    done(tmp_path, first, Taken("one", ended=False, why="pod lives"))
    done(tmp_path, first, Taken("one", ended=True))
    done(tmp_path, first, Taken("two", ended=True))
    assert [(each.agent, each.ended) for each in answers(tmp_path, first)] == [
        ("one", True),
        ("two", True),
    ]
    second = request()
    ask(tmp_path, second)
    assert answers(tmp_path, second) == []
    done(tmp_path, first, Taken("late", ended=True))
    assert answers(tmp_path, second) == []


@pytest.mark.parametrize("facts", [{"boot": "another"}, {"asked": 0.0}, {"asked": 1e12}])
def test_a_request_of_another_time_is_none(tmp_path: Path, facts: dict[str, Any]) -> None:
    """What was free then may be in use now."""
    ask(tmp_path, request(**facts))
    assert requests(tmp_path) == []


def test_what_is_over_is_swept_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever asks next; a folder on a tmpfs takes memory."""
    old = request("old")
    ask(tmp_path, old)
    done(tmp_path, old, Taken("one", ended=True))
    monkeypatch.setattr(forgetting, "LIFE_SECONDS", -LIFE_SECONDS)
    ask(tmp_path, request("new"))
    assert len(list((tmp_path / "forget").iterdir())) == 1


def test_files_that_are_no_requests_are_ignored(tmp_path: Path) -> None:
    """Spoilt, half, a folder, a pipe that would block, a link to elsewhere."""
    good = request()
    ask(tmp_path, good)
    folder = tmp_path / "forget"
    (folder / "a.json").write_bytes(b"\xff{")
    (folder / "b.json").write_bytes(msgspec.json.encode(request("two"))[:-9])
    (folder / "c.json").mkdir()
    os.mkfifo(folder / "d.json")
    (tmp_path / "elsewhere").write_bytes(msgspec.json.encode(request("three")))
    (folder / "e.json").symlink_to(tmp_path / "elsewhere")
    (folder / "f.json").write_bytes(b"[" * 100_000)
    (folder / "g.json").write_text("{}")
    assert requests(tmp_path) == [good]


def test_ids_become_no_paths(tmp_path: Path) -> None:
    """An id is text from outside."""
    ask(tmp_path, request("../../x\0\udcff".encode(errors="replace").decode()))
    assert [path.parent.name for path in tmp_path.rglob("*.json")] == ["forget"]


def test_nobody_can_be_asked_where_there_is_no_folder(tmp_path: Path) -> None:
    """Nor is anything found there."""
    with pytest.raises(FileNotFoundError):
        ask(tmp_path / "none", request())
    assert requests(tmp_path / "none") == []
    done(tmp_path / "none", request(), Taken("one", ended=True))


async def test_what_agents_have_noted_is_seen_from_outside(tmp_path: Path) -> None:
    """Without a lock, also while one is held; what was taken back is not shown."""
    ledger = Ledger(tmp_path, "an agent")
    ledger.open()
    entries = [LedgerEntry("a.b/c", each, 1, {}) for each in ("one", "two")]
    async with ledger.turn():
        ledger.append(entries)
        ledger.append([msgspec.structs.replace(entries[0], ended=True)])
        assert written_down(tmp_path) == {("a.b/c", "two")}
    ledger.close()
    assert written_down(tmp_path / "none") == frozenset()
