"""A section whose entries stand each alone, and files of other device plugins."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from nodeplug.backend import BackendSpec, Translation
from nodeplug.config.load import Configuration, Source, load_configuration
from nodeplug.values.errors import BrokenSectionError, ConfigError, InvalidValueError
from nodeplug.values.section import Section
from support.awkward.backend import SPEC as AWKWARD


class Lamp(Section, frozen=True):
    name: str
    watts: int = 60


class Lamps(Section, frozen=True):
    room: str = "hall"
    lamps: tuple[Lamp, ...] = ()

    def __post_init__(self) -> None:
        names = [lamp.name for lamp in self.lamps]
        if len(names) != len(set(names)):
            raise ValueError("two lamps have one name")


def read_bulbs(document: object) -> Translation:
    """Read the file of the plugin that was there before."""
    if not isinstance(document, dict):
        raise InvalidValueError("(top level): must be a map")
    bulbs: list[Any] = document["bulbs"]
    good = [bulb for bulb in bulbs if bulb != "broken"]
    return Translation(
        section={"lamps": [{"name": bulb} for bulb in good]},
        offers=[{"resource": "example.com/lamp", "replicas": 2}],
        refused=[f"bulbs[{n}]: is broken" for n, bulb in enumerate(bulbs) if bulb == "broken"],
        ignored=[f"{key}: has no meaning here" for key in document if key != "bulbs"],
    )


SPEC = replace(AWKWARD, name="lamps", settings=Lamps, entries="lamps", reader=read_bulbs)


def load(folder: Path, document: object, *, backend: str = "") -> Configuration:
    file = folder / "file.yaml"
    file.write_text(yaml.safe_dump(document))
    specs: dict[str, BackendSpec] = {"lamps": SPEC}
    return load_configuration([Source(file, backend)], specs)


def section(folder: Path, content: object) -> Any:
    return load(folder, {"backends": {"lamps": content}}).sections["lamps"]


@pytest.mark.parametrize(
    ("lamps", "kept", "problem"),
    [
        ([{"name": "a", "watts": "x"}, {"name": "b"}], ["b"], "backends.lamps.lamps[0].watts"),
        ([{"name": "a"}, {"nam": "b"}, {"name": "c"}], ["a", "c"], "backends.lamps.lamps[1].nam"),
        ([{"name": "a"}, {"name": "a"}], ["a"], "two lamps have one name"),
    ],
    ids=["wrong type", "wrong key", "against another entry"],
)
def test_a_wrong_entry_is_named_and_the_others_remain(
    tmp_path: Path, lamps: object, kept: list[str], problem: str
) -> None:
    """The number in the message is the one in the file."""
    broken = section(tmp_path, {"room": "attic", "lamps": lamps})
    assert isinstance(broken, BrokenSectionError)
    assert [problem in str(error) for error in broken.errors] == [True]
    remains = msgspec.convert(broken.remains, Lamps)
    assert (remains.room, [lamp.name for lamp in remains.lamps]) == ("attic", kept)


@pytest.mark.parametrize(
    "content", [{"room": [5], "lamps": [{"name": "a"}]}, {"lamps": [{"nam": "a"}]}, []]
)
def test_nothing_remains_where_nothing_is_right(tmp_path: Path, content: object) -> None:
    """A wrong key beside the list breaks the section as a whole."""
    broken = section(tmp_path, content)
    assert isinstance(broken, BrokenSectionError)
    assert broken.remains is None


def test_another_plugin_s_file_becomes_section_and_offers(tmp_path: Path) -> None:
    """What means nothing here is told."""
    configuration = load(tmp_path, {"bulbs": ["a", "b"], "colour": "red"}, backend="lamps")
    assert [lamp.name for lamp in configuration.valid["lamps"].lamps] == ["a", "b"]
    assert [rule.replicas for rule in configuration.agent.offers] == [2]
    assert configuration.ignored == [f"{tmp_path}/file.yaml: colour: has no meaning here"]


def test_a_refused_entry_of_another_plugin_s_file_leaves_the_others(tmp_path: Path) -> None:
    """As in a section of our own."""
    broken = load(tmp_path, {"bulbs": ["a", "broken"]}, backend="lamps").sections["lamps"]
    assert isinstance(broken, BrokenSectionError)
    assert str(broken) == f"{tmp_path}/file.yaml: bulbs[1]: is broken"
    assert [lamp.name for lamp in msgspec.convert(broken.remains, Lamps).lamps] == ["a"]


def test_an_unusable_file_of_another_plugin_breaks_that_backend_alone(tmp_path: Path) -> None:
    """The agent's own settings and the other backends are loaded."""
    (tmp_path / "bulbs.json").write_text('{"bulbs": [\n  "a" "b"]}')
    specs: dict[str, BackendSpec] = {"lamps": SPEC, "awkward": AWKWARD}
    loaded = load_configuration([Source(tmp_path / "bulbs.json", "lamps")], specs)
    assert list(loaded.valid) == ["awkward"]
    assert "bulbs.json: line 2, column 7:" in str(loaded.sections["lamps"])


def test_a_backend_without_a_reader_says_so(tmp_path: Path) -> None:
    """Rather than to take the file for its own."""
    file = tmp_path / "file.yaml"
    file.write_text("{}")
    loaded = load_configuration([Source(file, "awkward")], {"awkward": AWKWARD})
    section = loaded.sections["awkward"]
    assert isinstance(section, ConfigError)
    assert "reads no other plugin's files" in str(section)
