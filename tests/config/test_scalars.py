"""Scalars are those of YAML 1.2; where text is wanted, it is the text that stands there."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from nodeplug.config.document import convert, parse_document, read_document
from nodeplug.config.settings import AgentSettings
from nodeplug.selectors import Selector
from nodeplug.values.errors import ConfigError
from nodeplug.values.section import Section


class Lamp(Section, frozen=True):
    name: str = ""
    watts: int = 0
    ratio: float = 0
    lit: bool = False
    room: str | None = "hall"
    codes: str | list[str] = ""
    picks: dict[str, Selector] = {}  # noqa: RUF012 - msgspec copies it
    port: Annotated[int, msgspec.Meta(le=65535)] = 0


def lamp(text: str) -> Lamp:
    return convert(parse_document(text.encode(), Path("c.yaml")), Lamp, Path("c.yaml"))


AS_IT_STANDS = [
    *("0000:03:02.0", "0000:05:00.0", "12:34:56:18:09:50", "190:20:30", "1:59"),
    *("on", "off", "yes", "No", "y", "n"),
    *("0o17", "0x1F", "0b11", "1_2", "0403", "8086", "-0", "+1", "1e57", "1.10", ".5", "1e3"),
    *("2024-01-01", "2024-99-99", "true", "True", "NULL1", "=", ".inf", ".nan"),
]


@pytest.mark.parametrize("text", AS_IT_STANDS)
def test_where_text_is_wanted_it_is_what_stands_there(text: str) -> None:
    """Addresses, identifiers of vendors, words: no number, no time and no truth is made of them."""
    assert lamp(f"name: {text}").name == text
    assert lamp(f"codes: [{text}]").codes == [text]
    assert lamp(f"picks: {{serial: {text}}}").picks == {"serial": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("watts: 12", 12),
        ("watts: -3", -3),
        ("ratio: 1.5", 1.5),
        ("ratio: 2", 2.0),
        ("lit: true", True),
        ("lit: False", False),
        ("room: null", None),
        ("room: ~", None),
        ("room:", None),
        ("room: 'null'", "null"),
    ],
)
def test_where_something_else_is_wanted_it_is_that(text: str, value: object) -> None:
    """By the core schema."""
    assert getattr(lamp(text), text.partition(":")[0]) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("watts: 0403", "watts: expected `int`, found 0403"),
        ("watts: 1_2", "watts: expected `int`, found '1_2'"),
        ("lit: on", "lit: expected `bool`, found 'on'"),
        ("port: 70000", "port: expected `int` <= 65535, found 70000"),
        ("name: ", "name: expected `str`, found None"),
        ("name: [a]", "name: expected `str`, found ['a']"),
    ],
)
def test_what_is_neither_is_refused_with_what_stands_there(text: str, problem: str) -> None:
    """Not with what another reader would make of it."""
    with pytest.raises(ConfigError) as caught:
        lamp(text)
    assert str(caught.value) == f"c.yaml: {problem}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "log:\n  level: loud",
            "log.level: invalid enum value 'loud', found 'loud' (line 2, column 3)",
        ),
        (
            "log: {}\nlgo: 1",
            "lgo: is not a known key; `nodeplug config schema` lists them (line 2, column 1)",
        ),
        ("- 1", "(top level): expected `object`, found ['1'] (line 1, column 1)"),
        (
            "offers:\n-  {}",
            "offers[0]: object missing required field `resource`, found {} (line 2, column 4)",
        ),
        (
            "quarantine:\n- &a {devices: 3}\n- *a",
            "quarantine[0].devices: expected `object`, found 3 (line 2, column 7)",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    """A key alone is hard to find in a long file."""
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        convert(read_document(file), AgentSettings, file)
    assert str(caught.value) == f"{file}: {problem}"


def test_no_line_is_named_where_the_file_says_another_thing(tmp_path: Path) -> None:
    """What is wrong was merged from elsewhere."""
    file = tmp_path / "c.yaml"
    file.write_text("log: {level: info}")
    with pytest.raises(ConfigError, match=r"found 'loud'$"):
        convert({"log": {"level": "loud"}}, AgentSettings, file)


def test_a_quarantined_serial_number_keeps_its_zeros(tmp_path: Path) -> None:
    """As octal, it would be another device's."""
    file = tmp_path / "c.yaml"
    file.write_text("quarantine: [{devices: {serial: 0012345, port: 1_2, ecc: true}}]")
    read = convert(read_document(file), AgentSettings, file)
    assert read.quarantine[0].devices == {"serial": "0012345", "port": "1_2", "ecc": "true"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8086", 8086),
        ("0403", "0403"),
        ("1.5", 1.5),
        ("1.10", "1.10"),
        ("true", True),
        ("on", "on"),
        ("1:59", "1:59"),
        ("'5'", "5"),
        ("null", None),
    ],
)
def test_another_plugin_s_file_has_types(tmp_path: Path, text: str, value: Any) -> None:
    """Its reader takes it as it is; a number that would change if it were printed is text."""
    file = tmp_path / "peer.yaml"
    file.write_text(f"key: {text}")
    assert read_document(file, typed=True) == {"key": value}


def test_a_merge_brings_what_is_not_said_beside_it() -> None:
    """As YAML's type of merge keys has it, in whatever order."""
    text = "picks: &all {a: '1', b: '2'}\nroom: hall\n"
    found = parse_document(f"{text}others: {{<<: *all, b: '3'}}".encode(), Path("c.yaml"))
    assert found["others"] == {"a": "1", "b": "3"}


def test_json_may_write_a_character_in_two_halves() -> None:
    """Beyond U+FFFF, where it has no other letters than ASCII."""
    assert lamp('{"name": "\\ud83d\\ude00"}').name == "\U0001f600"
