"""What is said to the API server, as calls."""

import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nodeplug.operations.cluster.courier import Call
from nodeplug.values.trouble import Trouble

_MERGE = "application/merge-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
# What the API server takes as the message of an event.
_MESSAGE_LIMIT = 1024
# The API server takes events of what has no namespace, as a node, there and nowhere else
# (legacyValidateEvent in pkg/apis/core/validation/events.go).
EVENTS_NAMESPACE = "default"
_NODE_LIMIT = 253 - len(".nodeplug.01234567")
_EVENTS = f"/api/v1/namespaces/{EVENTS_NAMESPACE}/events"


class News(NamedTuple):
    """Something that happened on the node: a reason in CamelCase, a sentence for people."""

    reason: str
    message: str
    warning: bool = True


def event(node: str, news: News) -> Call:
    """Return the call that makes an event of the node. The same news gives the same name."""
    now = _now()
    body = {
        "metadata": {"name": _name(node, news), "namespace": EVENTS_NAMESPACE},
        "involvedObject": {"kind": "Node", "apiVersion": "v1", "name": node, "uid": node},
        "reason": news.reason,
        "message": _text(news.message),
        "type": "Warning" if news.warning else "Normal",
        "source": {"component": "nodeplug", "host": node},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    return Call("POST", _EVENTS, body)


def event_again(node: str, news: News, count: int) -> Call:
    """Return the call for news that an event tells already."""
    body = {"lastTimestamp": _now(), "count": count}
    return Call("PATCH", f"{_EVENTS}/{_name(node, news)}", body, _MERGE)


def get_node(node: str) -> Call:
    """Return the call that reads the node."""
    return Call("GET", _node(node))


def condition(node: str, kind: str, troubles: Sequence[Trouble], since: float) -> Call:
    """Return the call that sets a condition: True where the kubelet can use the agent."""
    status, reason = "True", "Degraded" if troubles else "Ready"
    if any(each.blocks for each in troubles):
        status, reason = "False", "NotReady"
    message = _text("; ".join(each.shown for each in troubles)) or "all resources are served"
    return _condition(node, kind, (status, reason, message), since)


def unknown_condition(node: str, kind: str) -> Call:
    """Return the call that says that nobody cares for a condition any more."""
    return _condition(node, kind, ("Unknown", "AgentEnded", "the agent has ended"), time.time())


def _condition(node: str, kind: str, said: tuple[str, str, str], since: float) -> Call:
    status, reason, message = said
    body = {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": _now(),
        "lastTransitionTime": _now(since),
    }
    return Call("PATCH", f"{_node(node)}/status", {"status": {"conditions": [body]}}, _STRATEGIC)


def without_taint(node: str, key: str, found: Mapping[str, Any]) -> Call | None:
    """Return the call that takes a taint from the node as it was read, or None if it has none.

    The call is refused if anybody has changed the node since.
    """
    taints = found.get("spec", {}).get("taints") or []
    kept = [taint for taint in taints if taint.get("key") != key]
    if kept == taints:
        return None
    version = found["metadata"]["resourceVersion"]
    body = {"metadata": {"resourceVersion": version}, "spec": {"taints": kept or None}}
    return Call("PATCH", _node(node), body, _MERGE)


def _node(node: str) -> str:
    return f"/api/v1/nodes/{node}"


def _name(node: str, news: News) -> str:
    # An object's name takes 253 characters at most, as does a node's.
    known = f"{node}\0{news.reason}\0{_text(news.message)}".encode()
    return f"{node[:_NODE_LIMIT].rstrip('.-')}.nodeplug.{zlib.crc32(known):08x}"


def _text(message: str) -> str:
    # A name of a file may hold what is no text for JSON.
    return message[:_MESSAGE_LIMIT].encode(errors="backslashreplace").decode()[:_MESSAGE_LIMIT]


def _now(seconds: float | None = None) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
