"""An agent writes to its own node, and there what it has to: a real API server sees to that."""

import subprocess
import sys
from http import HTTPStatus
from typing import Any

import pytest

from api_servers.installation import (
    ANNOTATION,
    KEPT_TAINT,
    OTHER,
    OWN,
    TAINT,
    Installation,
    event,
)
from nodeplug.operations.cluster import calls
from nodeplug.operations.cluster.calls import News
from nodeplug.operations.cluster.courier import Courier

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("API servers")]

OWN_CONDITION = "NodeplugCustomReady"
# Which the API server gives to every new node.
NOT_READY = "node.kubernetes.io/not-ready"
NEWS = News("DeviceUnhealthy", "a device is unhealthy")


def condition(kind: str) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": kind, "status": "True"}]}}


def taints(*effects: tuple[str, str]) -> dict[str, Any]:
    """Return a patch that leaves a node with these taints, and with that of the API server."""
    found = [{"key": key, "effect": effect} for key, effect in effects]
    return {"spec": {"taints": [{"key": NOT_READY, "effect": "NoSchedule"}, *found]}}


@pytest.fixture(autouse=True)
def _environment(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in installation.server.environment.items():
        monkeypatch.setenv(name, value)


async def test_an_agent_does_its_work(installation: Installation) -> None:
    """With the calls that it makes, in the process that makes them."""
    courier = Courier(installation.agent)
    first = [
        calls.event(OWN, NEWS),
        calls.event_again(OWN, NEWS, 2),
        calls.condition(OWN, OWN_CONDITION, (), 0.0),
        calls.get_node(OWN),
    ]
    replies = await courier.send(first)
    assert [reply.message for reply in replies if not reply.good] == []
    untaint = calls.without_taint(OWN, TAINT, replies[-1].body)
    assert untaint is not None
    (reply,) = await courier.send([untaint])
    assert reply.good, reply.message
    node = installation.node(OWN)
    assert {taint["key"] for taint in node["spec"]["taints"]} == {NOT_READY, KEPT_TAINT}
    assert {each["type"] for each in node["status"]["conditions"]} == {"Ready", OWN_CONDITION}


def test_an_agent_follows_its_annotation(installation: Installation) -> None:
    """In the process that follows it, which ends with its input."""
    module = "nodeplug.operations.cluster.follower"
    words = (str(installation.agent), OWN, ANNOTATION, "16384")
    command = (sys.executable, "-m", module, *words)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b'"[]"\n'
        body = {"metadata": {"annotations": {ANNOTATION: "[{device: x}]"}}}
        installation.server.have("PATCH", f"/api/v1/nodes/{OWN}", body)
        assert process.stdout.readline() == b'"[{device: x}]"\n'
        process.communicate()


ALIEN = {
    "condition": ("/status", condition(OWN_CONDITION)),
    "taint": ("", taints((KEPT_TAINT, "NoSchedule"))),
}


@pytest.mark.parametrize("what", ALIEN)
def test_another_node_is_out_of_reach(installation: Installation, what: str) -> None:
    """Also for what an agent may write to its own."""
    part, body = ALIEN[what]
    answer = installation.patch_node(OTHER, body, part)
    assert answer.status == HTTPStatus.FORBIDDEN
    assert "writes to its own node only" in answer.message


FORBIDDEN = {
    "a label": ("", {"metadata": {"labels": {"a": "b"}}}),
    "a label by way of the status": ("/status", {"metadata": {"labels": {"a": "b"}}}),
    "an annotation": ("", {"metadata": {"annotations": {ANNOTATION: None}}}),
    "a finalizer": ("", {"metadata": {"finalizers": ["example.com/x"]}}),
    "whether pods are scheduled": ("", {"spec": {"unschedulable": True}}),
    "the network of pods": ("", {"spec": {"podCIDR": "10.0.0.0/24"}}),
    "another taint": ("", taints()),
    "the effect of a taint": ("", taints((KEPT_TAINT, "NoExecute"))),
    "a new taint": ("", taints((KEPT_TAINT, "NoSchedule"), ("a", "NoSchedule"))),
    "capacity": ("/status", {"status": {"capacity": {"example.com/x": "1"}}}),
    "another condition": (
        "/status",
        {"status": {"conditions": [{"type": "Ready", "status": "False"}]}},
    ),
    "a new condition": ("/status", condition("DiskPressure")),
    "the loss of a condition": (
        "/status",
        {"status": {"conditions": [{"$patch": "delete", "type": "Ready"}]}},
    ),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_agents_do_not_write_is_out_of_reach(installation: Installation, what: str) -> None:
    """On the agent's own node; the message says what it may write."""
    part, body = FORBIDDEN[what]
    answer = installation.patch_node(OWN, body, part)
    assert answer.status == HTTPStatus.FORBIDDEN
    assert "the agent" in answer.message


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(event(OTHER), id="of another node"),
        pytest.param(event(OWN, kind="Pod"), id="of a pod"),
        pytest.param(event(OWN, component="kubelet"), id="of another component"),
    ],
)
def test_an_event_that_is_not_the_agents_is_refused(
    installation: Installation, body: dict[str, Any]
) -> None:
    """Nobody can be told something in another's name."""
    answer = installation.make_event(body)
    assert answer.status == HTTPStatus.FORBIDDEN
    assert "its own Events of its own node" in answer.message


def test_an_event_of_another_node_is_not_made_into_one_of_this(installation: Installation) -> None:
    """It would be gone there."""
    found = installation.server.have("POST", "/api/v1/namespaces/default/events", event(OTHER))
    body = {"involvedObject": {"name": OWN}}
    path = f"/api/v1/namespaces/default/events/{found['metadata']['name']}"
    token = (installation.agent / "token").read_text()
    answer = installation.server.ask("PATCH", path, body, token)
    assert "its own Events of its own node" in answer.message


def test_a_token_without_a_node_is_good_for_nothing(installation: Installation) -> None:
    """Such as one that somebody made by hand, for no pod."""
    for answer in (
        installation.patch_node(OWN, condition(OWN_CONDITION), "/status", installation.nowhere),
        installation.make_event(event(OWN), installation.nowhere),
    ):
        assert answer.status == HTTPStatus.FORBIDDEN
        assert "does not say on which node" in answer.message


@pytest.mark.parametrize("what", [*ALIEN, *FORBIDDEN])
def test_a_role_alone_would_let_it_pass(installation: Installation, what: str) -> None:
    """The policy is what refuses; without it the same call of the same roles is granted."""
    part, body = (ALIEN | FORBIDDEN)[what]
    node = OTHER if what in ALIEN else OWN
    answer = installation.patch_node(node, body, part, installation.without)
    assert answer.status == HTTPStatus.OK, answer.message


def test_nobody_else_is_concerned(installation: Installation) -> None:
    """The administrator labels nodes as before."""
    body = {"metadata": {"labels": {"a": "b"}}}
    installation.server.have("PATCH", f"/api/v1/nodes/{OTHER}?dryRun=All", body)
