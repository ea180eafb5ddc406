"""What the section `custom` refuses, and how it says so."""

from typing import Any

import msgspec
import pytest

from nodeplug_custom.settings import CustomSettings

PATH = {"path": "/dev/a*"}


def problem(section: dict[str, Any]) -> str:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(section, CustomSettings)
    text = str(caught.value)
    assert "\n" not in text
    return text


def of_resource(**keys: Any) -> str:
    resource = {"name": "a.b/c", "devices": [PATH]} | keys
    return problem({"resources": [resource]})


def of_device(**keys: Any) -> str:
    return of_resource(devices=[PATH | keys])


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"name": "foo"}, "name: resource name 'foo' needs the form <domain>/<name> - at"),
        ({"devices": []}, "consists of nothing; give devices, hardware or sets"),
        ({"env": {"A B": ""}}, "env: environment variable name 'A B' is not [A-Za-z_]"),
        ({"env": {"A": "\0"}}, "env: value of A holds a zero byte"),
        (
            {"env": {"A": "{pid}"}},
            "env: '{pid}' names an unknown field {pid}; known are {hostPath}",
        ),
        ({"env": {"A": "{id.real}"}}, "env: '{id.real}' names an unknown field {id.real}; known"),
        ({"env": {"A": "{id!r}"}}, "env: '{id!r}' names an unknown field {id}; known"),
        ({"env": {"A": "{id:9}"}}, "env: '{id:9}' names an unknown field {id}; known"),
        ({"env": {"A": "{}"}}, "env: '{}' names an unknown field {}; known"),
        ({"env": {"A": "a}"}}, "env: 'a}' has a single brace; write it twice, or name a field"),
        ({"annotations": {"a\n": ""}}, r"annotations: name 'a\n' must be printable and not empty"),
        ({"annotations": {"": ""}}, "annotations: name '' must be printable and not empty"),
        ({"annotations": {"a": "{b}"}}, "annotations: '{b}' names an unknown field {b}"),
        ({"nodes": [{"path": "/dev/a*"}]}, "path: '/dev/a*' must be one path, without wildcards"),
        ({"nodes": [{"path": "/dev/a", "permissions": "x"}]}, "permissions: 'x' must be one or"),
        ({"mount": []}, "Object contains unknown field `mount` - at `$.resources[0]`"),
    ],
)
def test_a_resource_is_checked(keys: dict[str, Any], text: str) -> None:
    """The key, the value and what would be right are named, with the place."""
    assert text in of_resource(**keys)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"path": "dev/x"}, "path: 'dev/x' must begin with '/' and have no empty step"),
        ({"path": ""}, "give one of path and regex"),
        ({"path": "/"}, "path: '/' must begin"),
        ({"path": "/dev/../etc/*"}, "path: '/dev/../etc/*' must begin with '/' and have no empty"),
        ({"path": "/dev/./x"}, "path: '/dev/./x' must begin"),
        ({"path": "/dev//x"}, "path: '/dev//x' must begin"),
        ({"path": "/dev/x/"}, "path: '/dev/x/' must begin"),
        ({"path": "/dev/**"}, "path: '/dev/**' must not hold '**'; write one '*' for each step"),
        ({"path": "/dev/\n"}, r"path: '/dev/\n' must hold printable characters only"),
        ({"labels": {"a b": ""}}, "labels: 'a b' must be a word, and none that devices have"),
        ({"labels": {"realPath": "x"}}, "labels: 'realPath' must be a word, and none that"),
        ({"labels": {"a": "é" * 32}}, "labels: a must be printable, at most 63 bytes"),
        ({"labels": {f"a{n}": "" for n in range(9)}}, "labels: more than 8"),
        ({"type": "blob"}, "Invalid enum value 'blob' - at `$.resources[0].devices[0].type`"),
        ({"permissions": ""}, "permissions: '' must be one or more of 'r', 'w' and 'm', each once"),
        ({"permissions": "rx"}, "permissions: 'rx' must be one or more of 'r', 'w' and 'm'"),
        ({"permissions": "rr"}, "permissions: 'rr' must be one or more of 'r', 'w' and 'm'"),
        ({"type": "file", "permissions": "m"}, "permissions: 'm' must be 'r' or 'rw' for what is"),
        ({"containerPath": "x/{id}"}, "containerPath: 'x/{id}' must be absolute, printable and"),
        ({"containerPath": "/../{id}"}, "containerPath: '/../{id}' must be absolute"),
        ({"containerPath": "/{id}\n"}, r"containerPath: '/{id}\n' must be absolute"),
        ({"containerPath": "/x{path}"}, "containerPath: '/x{path}' names an unknown field {path}"),
        ({"containerPath": "/x"}, "containerPath: '/x' would be the same for all devices of"),
    ],
)
def test_a_selector_is_checked(keys: dict[str, Any], text: str) -> None:
    """No pattern that cannot match, and no container path of a device's choosing, gets in."""
    assert text in of_device(**keys)


@pytest.mark.parametrize(
    ("mount", "text"),
    [
        ({}, "Object missing required field `hostPath` - at `$.resources[0].mounts[0]`"),
        ({"hostPath": "etc"}, "hostPath: 'etc' must be absolute"),
        ({"hostPath": "{id}"}, "hostPath: '{id}' must be absolute"),
        ({"hostPath": "/a", "containerPath": "a"}, "containerPath: 'a' must be absolute"),
        (
            {"hostPath": "/a/{id}", "containerPath": "/a"},
            "containerPath: '/a' would be the same for every device, '/a/{id}' is not",
        ),
    ],
)
def test_a_mount_is_checked(mount: dict[str, Any], text: str) -> None:
    """Mounts that the runtime would refuse, or that contradict each other, do not get in."""
    assert text in of_resource(mounts=[mount])


def test_a_name_given_twice_is_refused() -> None:
    """Two entries cannot make one resource."""
    twice = [{"name": "a.b/c", "devices": [{"path": f"/dev/{n}"}]} for n in "xy"]
    assert problem({"resources": twice}) == "name 'a.b/c' is given twice; keep one"


def test_a_path_given_twice_is_refused() -> None:
    """Of two identical patterns the second could never find anything."""
    twice = [{"name": f"a.b/{n}", "devices": [PATH]} for n in "xy"]
    assert problem({"resources": twice}) == "path '/dev/a*' is given twice; keep one"


def test_a_negative_pause_is_refused() -> None:
    """Time runs forward."""
    assert ">= 0" in problem({"reconcileSeconds": -1})


def test_one_device_may_have_any_place_in_the_container() -> None:
    """A path without wildcards is one device, so that a fixed place fits it."""
    device = {"path": "/dev/a", "containerPath": "/dev/camera"}
    section = {"resources": [{"name": "a.b/c", "devices": [device]}]}
    assert msgspec.convert(section, CustomSettings).resources[0].devices[0].container_path


def test_without_anything_there_are_no_resources() -> None:
    """An empty section is valid."""
    assert msgspec.convert({}, CustomSettings).resources == ()
