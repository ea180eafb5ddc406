"""`nodeplug config check` finds what would not work on some node."""

from pathlib import Path
from typing import Any

import pytest

from nodeplug.cli.options import USAGE
from support.command import Result, nodeplug, write_config

LONG = f"example.com/{'a' * 60}"


@pytest.fixture(name="host")
def _host(tmp_path: Path) -> Path:
    (tmp_path / "host" / "dev").mkdir(parents=True)
    (tmp_path / "host" / "dev" / "t0").touch()
    return tmp_path / "host"


def check(host: Path, name: str = "example.com/t", **keys: Any) -> Result:
    entry = {"name": name, "devices": [{"path": "/dev/t*", "type": "file"}]}
    document = {
        "host": {"root": str(host)},
        "backends": {"custom": {"resources": [entry]}},
        **keys,
    }
    return nodeplug("config", "check", str(write_config(host.parent, document)))


def test_a_name_that_a_rule_makes_too_long_is_found(host: Path) -> None:
    """Only the backend's section tells it."""
    rule = {"resource": "example.com/*", "replicas": 2, "markShared": True}
    found = check(host, LONG, offers=[rule])
    assert (found.code, found.out) == (USAGE, "")
    assert f"offers: {LONG} is not offered as {LONG}.shared" in found.err


def test_what_breaks_on_one_node_is_found(host: Path) -> None:
    """With the override that breaks it; an error of all nodes is told once."""
    rule = {"resource": "example.com/*", "replicas": 2, "markShared": True}

    def resource(name: str) -> dict[str, Any]:
        entry = {"name": name, "devices": [{"path": "/dev/u*", "type": "file"}]}
        return {"backends": {"custom": {"resources": [entry]}}}

    nodes = [
        {"names": ["worker-*"], "config": resource(LONG)},
        {"names": ["worker-1"], "config": resource("wrong")},
        {"labels": {"a": "b"}, "config": {"log": {"level": "info"}}},
    ]
    found = check(host, offers=[rule], nodes=nodes)
    assert found.code == USAGE
    lines = found.err.splitlines()
    assert len(lines) == 2, lines
    assert "nodeplug.yaml with nodes[0]" in lines[0]
    assert "resources[0]" in lines[1]


def test_what_is_wrong_everywhere_is_told_once_with_its_line(host: Path) -> None:
    """Although an override that comes before it gives it another number."""
    entry = {"name": "wrong", "devices": [{"path": "/dev/u"}]}
    more = {"name": "example.com/u", "devices": [{"path": "/dev/u"}]}
    override = {"names": ["a"], "config": {"backends": {"custom": {"resources": [more]}}}}
    found = check(host, backends={"custom": {"resources": [entry]}}, nodes=[override])
    [line] = found.err.splitlines()
    assert "nodeplug.yaml: backends.custom.resources[0]: name: " in line
    assert line.endswith(" (line 4, column 7)")


def test_one_mistake_in_two_entries_is_two_mistakes(host: Path) -> None:
    """Who mends one of them would find the other at the next start."""
    entry = {"name": "wrong", "devices": [{"path": "/dev/u"}]}
    found = check(host, backends={"custom": {"resources": [entry, entry]}})
    assert [f"resources[{n}]" in line for n, line in enumerate(found.err.splitlines())] == [
        True,
        True,
    ]


def test_a_rule_without_effect_is_a_warning(host: Path) -> None:
    """This machine need not be the node."""
    found = check(host, quarantine=[{"devices": {"id": "dev:t0"}}, {"devices": {"ID": "dev:t0"}}])
    place = f"{host.parent}/nodeplug.yaml: quarantine[1]"
    problem = f"warning: {place}: no device on this node has the attribute ID\n"
    assert (found.code, found.out, found.err) == (0, "", problem)


@pytest.mark.parametrize("whose", ["ours", "a peer's"])
def test_replicas_that_no_list_can_hold_are_a_warning(host: Path, whose: str) -> None:
    """In either file; how many there are is known by the devices of this machine."""
    if whose == "a peer's":
        names = ", ".join(f"{{path: /dev/{n}}}" for n in ("null", "zero", "full"))
        groups = ", ".join(f"{{count: 70000, paths: [{name}]}}" for name in names.split(", "))
        file = host.parent / "theirs.yaml"
        file.write_text(f"[{{name: aa, groups: [{groups}]}}]")
        found = nodeplug("config", "check", f"custom={file}")
    else:
        for number in range(3):
            (host / "dev" / f"t{number}").touch()
        found = check(host, offers=[{"resource": "example.com/t", "replicas": 70000}])
    assert (found.code, found.out) == (0, "")
    assert "the kubelet takes no list with so many replicas" in found.err


def test_where_there_is_no_device_nothing_is_said_of_rules(host: Path) -> None:
    """As where changes are reviewed."""
    (host / "dev" / "t0").unlink()
    found = check(host, quarantine=[{"devices": {"ID": "dev:t0"}}])
    assert (found.code, found.out, found.err) == (0, "", "")


def test_devices_shows_quarantine_and_names_rules_without_effect(host: Path) -> None:
    """Beside the table."""
    document = {
        "host": {"root": str(host)},
        "kubelet": {"devicePluginDir": str(host)},
        "quarantine": [
            {"devices": {"id": "dev:t0"}, "reason": "fan is loud"},
            {"devices": {"id": "dev-t0"}},
        ],
        "backends": {
            "custom": {
                "resources": [
                    {"name": "example.com/t", "devices": [{"path": "/dev/t*", "type": "file"}]}
                ]
            }
        },
    }
    file = write_config(host.parent, document)
    found = nodeplug("devices", "--backend", "custom", "--config", str(file))
    assert "quarantined: fan is loud" in found.out
    assert found.err == "nodeplug: quarantine[1]: matches none of the 1 devices on this node\n"
    assert found.code == 0


def test_rules_that_another_plugin_s_file_makes_are_not_warned_of(tmp_path: Path) -> None:
    """They have no place in that file, and that a node lacks some devices is as it should be."""
    file = tmp_path / "conf.yaml"
    file.write_text(
        "[{devicematch: ^null$, nummaxdevices: 1}, {devicematch: ^no-such$, nummaxdevices: 20}]"
    )
    assert nodeplug("config", "check", f"custom={file}") == (0, "", "")
