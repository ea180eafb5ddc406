"""The command line: what it prints, and its exit codes."""

import json
import platform
from pathlib import Path

import grpc
import pytest

from nodeplug._version import __version__
from nodeplug.cdi.spec import VERSION
from nodeplug.kubelet import api
from support.command import nodeplug, write_config
from support.packages import install

SICK = """
from dataclasses import replace
from nodeplug.backend import hookimpl
from support.awkward.backend import SPEC

def build(settings, host, memory):
    raise RuntimeError("no cable")

@hookimpl
def nodeplug_backend():
    return replace(SPEC, name="sick", build=build)
"""
AWKWARD = "from support.awkward.backend import nodeplug_backend\n"


def test_backends_lists_what_is_installed_and_what_is_broken(tmp_path: Path) -> None:
    """One broken package is a line in the table, not the end of it."""
    install(tmp_path, "awkward", AWKWARD)
    install(tmp_path, "bad", "import no_such_library")
    listed = json.loads(nodeplug("backends", "--output", "json", site=tmp_path).out)
    found = {entry["name"]: entry["present"] for entry in listed}
    assert found["bad"] == "broken"
    assert found["awkward"] == "no"


def test_the_version_of_every_part_is_shown(tmp_path: Path) -> None:
    """Of backends too that cannot be imported: that may be why."""
    install(tmp_path, "bad", "import no_such_library")
    shown = json.loads(nodeplug("version", "--output", "json", site=tmp_path).out)
    assert shown["nodeplug"] == __version__
    assert shown["backends"]["custom"] == __version__
    assert "bad" in shown["backends"]
    assert shown["python"] == platform.python_version()
    assert shown["grpc"] == grpc.__version__
    protos = {file.stem for file in Path(api.__file__).parent.glob("*.proto")}
    named = {f"{kind.replace(' ', '')}_{v}" for kind, vs in shown["apis"].items() for v in vs}
    # The older one is that of the kubelet that tests use.
    assert named - {f"CDI_{VERSION}"} == protos - {"podresources_v1alpha1"}


def test_versions_are_a_table_for_people() -> None:
    """A line each."""
    lines = [line.split() for line in nodeplug("version").out.splitlines()]
    assert ["nodeplug", __version__] in lines
    assert ["API", "device", "plugin", "v1beta1"] in lines


def test_devices_shows_what_discovery_finds(tmp_path: Path) -> None:
    """Real nodes of this machine."""
    resources = [{"name": "example.com/null", "devices": [{"path": "/dev/null"}]}]
    config = write_config(tmp_path, {"backends": {"custom": {"resources": resources}}})
    result = nodeplug("devices", "--backend", "custom", "--config", str(config), "--output", "json")
    shown = json.loads(result.out)
    assert [(d["resource"], d["nodes"]) for d in shown] == [("example.com/null", ["/dev/null"])]


OFFERS = [
    {"resource": "example.com/null", "devices": {"id": "dev:null"}, "rename": "example.org/nothing"}
    | {"replicas": 3, "markShared": True, "policy": "packed", "inject": "cdi"},
    {"resource": "example.com/zero", "splitBy": "type"},
    {"resource": "example.com/full", "rename": "example.com/random"},
]


def test_devices_are_shown_as_they_are_offered(tmp_path: Path) -> None:
    """What pods must ask for is known before a roll-out; what no rule changes stays as it is."""
    names = ("null", "zero", "full", "random")
    resources = [{"name": f"example.com/{n}", "devices": [{"path": f"/dev/{n}"}]} for n in names]
    content = {"backends": {"custom": {"resources": resources}}, "offers": OFFERS}
    config = write_config(tmp_path, content)
    result = nodeplug("devices", "--backend", "custom", "--config", str(config), "--output", "json")
    keys = ("resource", "offeredAs", "replicas", "policy", "inject")
    assert sorted(tuple(row[key] for key in keys) for row in json.loads(result.out)) == [
        ("example.com/full", "example.com/full", 1, "", "devices"),
        ("example.com/null", "example.org/nothing.shared", 3, "packed", "cdi"),
        ("example.com/random", "example.com/random", 1, "", "devices"),
        ("example.com/zero", "example.com/zero-char", 1, "", "devices"),
    ]
    refusal = "example.com/full is not offered as example.com/random: that is the name of "
    assert refusal in result.err


@pytest.mark.parametrize("command", ["devices", "topology"])
def test_a_backend_that_cannot_answer_hides_no_other(command: str, tmp_path: Path) -> None:
    """It is reported, and the exit code tells."""
    install(tmp_path, "sick", SICK)
    resources = [{"name": "example.com/null", "devices": [{"path": "/dev/null"}]}]
    config = write_config(tmp_path, {"backends": {"custom": {"resources": resources}}})
    names = ("--backend", "sick", "--backend", "custom")
    result = nodeplug(command, *names, "--config", str(config), site=tmp_path)
    assert result.code == 1
    assert result.err == "nodeplug: backend sick: discovery failed: RuntimeError('no cable')\n"
    assert "null" in result.out


def test_what_is_right_of_a_section_is_shown_beside_the_error(tmp_path: Path) -> None:
    """As the agent serves it; the exit code is that of a wrong configuration."""
    good = {"name": "example.com/null", "devices": [{"path": "/dev/null"}]}
    wrong = {"name": "UPPER/x", "devices": []}
    config = write_config(tmp_path, {"backends": {"custom": {"resources": [good, wrong]}}})
    result = nodeplug("devices", "--backend", "custom", "--config", str(config))
    assert (result.code, "example.com/null" in result.out) == (2, True)
    assert f"{config}: backends.custom.resources[1]: name: " in result.err


def test_an_unknown_backend_is_an_error_that_lists_the_others() -> None:
    """The remedy is in the line."""
    result = nodeplug("run", "--backend", "nvdia")
    assert result.code == 2
    assert "backend 'nvdia' is not installed; installed are: " in result.err


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"backend": {}}, "backend: is not a known key"),
        ({"kubelet": {"devicePluginDir": [5]}}, "kubelet.devicePluginDir: expected `str`, found"),
        (
            {"kubelet": {"devicePluginDir": "/tmp/" + "x" * 100}},
            "kubelet.devicePluginDir: /tmp/xx",
        ),
        ({"backends": {"nvdia": {}}}, "backends.nvdia: backend 'nvdia' is not installed"),
        (
            {"backends": {"custom": {"resources": [{"name": "UPPER/x", "devices": []}]}}},
            "backends.custom.resources[0]",
        ),
        (
            {
                "backends": {
                    "custom": {
                        "resources": [
                            {"name": "a.b/c", "devices": [{"path": "/dev/null"}]},
                            {"name": "a.b/c", "devices": [{"path": "/dev/zero"}]},
                        ]
                    }
                }
            },
            "'a.b/c'",
        ),
    ],
)
def test_config_check_names_file_key_and_value(
    tmp_path: Path, content: dict[str, object], problem: str
) -> None:
    """One line each, exit 2."""
    config = write_config(tmp_path, content)
    result = nodeplug("config", "check", str(config))
    assert result.code == 2
    assert f"{config}: " in result.err
    assert problem in result.err
    assert len(result.err.splitlines()) == 1


def test_config_check_is_silent_about_a_sound_file(tmp_path: Path) -> None:
    """Nothing to say, exit 0."""
    assert nodeplug("config", "check", str(write_config(tmp_path, {}))) == (0, "", "")


def test_config_schema_is_a_json_schema_with_the_installed_backends() -> None:
    """For editors and for the charts."""
    schema = json.loads(nodeplug("config", "schema").out)
    backends = schema["$defs"]["AgentSettings"]["properties"]["backends"]["properties"]
    assert "custom" in backends


@pytest.mark.parametrize("command", ["run", "simulate", "devices", "backends", "config"])
def test_every_command_explains_itself(command: str) -> None:
    """`--help` works without hardware, configuration or kubelet."""
    result = nodeplug(command, "--help")
    assert (result.code, "Usage:" in result.out) == (0, True)


def test_simulate_as_json_carries_the_figures(tmp_path: Path) -> None:
    """Six checks, each held, on every installed backend's simulator."""
    install(tmp_path, "awkward", AWKWARD)
    result = nodeplug("simulate", "--output", "json", site=tmp_path)
    report = json.loads(result.out)
    assert (result.code, report["held"], report["of"]) == (0, 6, 6)
    assert {"awkward", "custom"} <= {*report["backends"]}
    assert all(check["figures"] for check in report["checks"])


def test_a_directory_that_is_no_kubelet_s_is_one_clear_line(tmp_path: Path) -> None:
    """The likeliest mistake of somebody trying it out."""
    config = write_config(tmp_path, {"kubelet": {"devicePluginDir": "/tmp/np/none"}})
    result = nodeplug("run", "--backend", "custom", "--config", str(config))
    assert (result.code, len(result.err.splitlines())) == (2, 1)
    assert "none: no such directory; is a kubelet on this host" in result.err
