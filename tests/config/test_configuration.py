"""A configuration file is taken wholly, or its error names file, key, value and remedy."""

from dataclasses import replace
from pathlib import Path

import jsonschema
import msgspec
import pytest

from nodeplug.backend import BackendSpec, Presence, Translation
from nodeplug.config.load import Configuration, Source, load_configuration, schema
from nodeplug.values.errors import ConfigError
from nodeplug.values.section import Section
from support.awkward.backend import SPEC, Settings

# A text of some hundred bytes that says ten million values.
LAUGHS = "a0: &a0 []\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 8)
)


class OtherSettings(Section, frozen=True):
    """Another backend's section."""

    count: int = 1
    names: list[str] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        if self.count > 9:
            raise ValueError(f"count: {self.count} is Too much, got it?")


OTHER = BackendSpec(
    name="other",
    summary="Another",
    settings=OtherSettings,
    build=SPEC.build,
    probe=lambda _: Presence(present=True, detail=""),
    simulator=SPEC.simulator,
)


def load(tmp_path: Path, text: str) -> Configuration:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    return load_configuration([Source(file)], {"awkward": SPEC, "other": OTHER})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kubelt: {}", "c.yaml: kubelt: is not a known key"),
        ("log: {level: loud}", "c.yaml: log.level: invalid enum value 'loud', found 'loud'"),
        ("kubelet: {devicePluginDir: dp}", "c.yaml: kubelet: devicePluginDir: must begin with '/'"),
        (r'kubelet: {podResourcesSocket: "/a\0b"}', "c.yaml: kubelet: podResourcesSocket: must"),
        ("host: {root: host}", "c.yaml: host: root: must begin with '/'"),
        (
            r'host: {ledgerDir: "/a\0b"}',
            "c.yaml: host: ledgerDir: must begin with '/' and be printable",
        ),
        (
            r'host: {uevents: "/a\0b"}',
            "c.yaml: host: uevents: must begin with '/' and be printable",
        ),
        ("cdi: {specDir: cdi}", "c.yaml: cdi: specDir: must begin with '/'"),
        ("labels: {featureDir: features}", "c.yaml: labels: featureDir: must begin with '/'"),
        (r'metrics: {address: "a\0b"}', "c.yaml: metrics: address: must be printable"),
        ("metrics: {address: a..b}", "c.yaml: metrics: address: is neither an address nor a name"),
        (
            r'cluster: {quarantineAnnotation: "\0"}',
            "c.yaml: cluster: quarantineAnnotation: must be",
        ),
        (r'cluster: {removeTaint: "\0"}', "c.yaml: cluster: removeTaint: must be a key"),
        ("kubelet: {devicePluginDir: '/a,b'}", "c.yaml: kubelet: devicePluginDir: gRPC ends the"),
        (
            f"kubelet: {{podResourcesSocket: /{'é' * 54}}}",
            "c.yaml: kubelet: podResourcesSocket: 109 bytes, the limit is 107: /éé",
        ),
        ('log: {level: "\\ud83d"}', "c.yaml: line 1, column 14: is half a character"),
        ("log: 3", "c.yaml: log: expected `object`, found 3"),
        ("[1]", "c.yaml: (top level): expected `object`, found ['1']"),
        ("log: {level: info\n", "c.yaml: line 2, column 1:"),
        ("log: {}\nlog: {}", "c.yaml: line 2, column 1: key 'log' is given twice"),
        ("a: !!python/object:os.system {}", "c.yaml: line 1, column 4:"),
        ("\0", "c.yaml: is not YAML"),
        ("a: !!timestamp 2024-99-99", "c.yaml: line 1, column 4: is not a value of its type"),
        ("a: !!timestamp 2V24-01-01", "c.yaml: line 1, column 4: is not a value of its type"),
        (
            "{apiVersion: v1, kind: ConfigMap, data: {a.yaml: '', b.yaml: ''}}",
            "c.yaml: is a whole ConfigMap; give a file of its data by itself: 'a.yaml', 'b.yaml'",
        ),
        ("{kind: ConfigMap, data: 3}", "by itself: there is nothing"),
        (f"a: !!int {'1' * 5000}", "c.yaml: line 1, column 4: is not a value of its type"),
        ("a: !!int 0x1" + 64 * "0", "c.yaml: line 1, column 4: is too large a number"),
        (LAUGHS, "c.yaml: line 6, column 45: that makes more than 200000 values"),
        ("&a [*a]", "c.yaml: line 1, column 5: that makes more than 200000 values"),
        ("&a {b: [*a]}", "c.yaml: line 1, column 9: that makes more than 200000 values"),
        ("[" * 9999, "c.yaml: line 1, column 101: is nested more than 100 deep"),
        ("#" * (2**20 + 1), "c.yaml: is larger than 1048576 bytes"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_refused(
    tmp_path: Path, text: str, problem: str
) -> None:
    """One line, with the place and the value."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("{count: x}", "c.yaml: backends.other.count: expected `int`, found 'x'"),
        ("{count: 10}", "c.yaml: backends.other: count: 10 is Too much, got it?"),
        ("{names: [a, {}]}", "c.yaml: backends.other.names[1]: expected `str`, found {}"),
        ("{cuont: 1}", "c.yaml: backends.other.cuont: is not a known key"),
        ("7", "c.yaml: backends.other: expected `object`, found 7"),
    ],
)
def test_a_broken_section_names_its_key_and_harms_only_itself(
    tmp_path: Path, section: str, problem: str
) -> None:
    """The other backend is configured all the same."""
    loaded = load(tmp_path, f"backends: {{other: {section}, awkward: {{domain: a.b}}}}")
    assert [problem in str(error) for error in loaded.errors] == [True]
    assert loaded.sections["awkward"] == Settings(domain="a.b")


def test_a_missing_section_means_the_defaults(tmp_path: Path) -> None:
    """Naming a backend on the command line is enough."""
    assert load(tmp_path, "{}").sections["other"] == OtherSettings()


@pytest.mark.parametrize("text", ["", "# nothing", "null"])
def test_an_empty_file_is_not_the_defaults(tmp_path: Path, text: str) -> None:
    """A disk had no room for it: what it said before was not that."""
    with pytest.raises(ConfigError, match=r"c\.yaml: is empty"):
        load(tmp_path, text)


def test_an_empty_file_of_another_plugin_is_refused_likewise(tmp_path: Path) -> None:
    """Its backend alone stays as it is."""
    (file := tmp_path / "theirs.yaml").touch()
    spec = replace(OTHER, reader=lambda _: Translation(section={}))
    found = load_configuration([Source(file, "other")], {"other": spec})
    assert [str(each) for each in found.errors] == [
        f"{file}: is empty; where defaults are meant, write {{}}"
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """The usual typo."""
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        load_configuration([Source(tmp_path / "none.yaml")], {})


def test_a_file_of_unreasonable_size_is_not_read(tmp_path: Path) -> None:
    """Configuration comes from a ConfigMap of 1 MiB at most."""
    with pytest.raises(ConfigError, match="larger than"):
        load(tmp_path, "#" * 1024 * 1024 + "#")


def test_the_schema_describes_every_backend_s_section() -> None:
    """Editors check a file against it."""
    described = schema({"awkward": SPEC, "other": OTHER})
    sections = described["$defs"]["AgentSettings"]["properties"]["backends"]["properties"]
    assert set(sections) == {"awkward", "other"}


def test_the_schema_accepts_what_is_loaded_and_refuses_what_is_not() -> None:
    """The schema and the loader agree."""
    validator = jsonschema.Draft202012Validator(schema({"other": OTHER}))
    good = {"backends": {"other": {"count": 2}}, "log": {"level": "info"}}
    bad = {"backends": {"other": {"cuont": 2}}, "log": {"level": "loud"}}
    assert (validator.is_valid(good), len(list(validator.iter_errors(bad)))) == (True, 2)
