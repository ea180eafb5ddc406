"""Whose devices fell sick."""

from collections.abc import Mapping
from pathlib import Path

from nodeplug.holdings import physical_id
from nodeplug.kubelet.pod_resources import assignments, list_pods

_NAMED_LIMIT = 4

Users = Mapping[tuple[str, str], str]
"""By resource and device: the pods that have it, as words."""


async def find_users(pod_resources: Path) -> Users:
    """Ask the kubelet which pods have which device; nothing while it does not answer."""
    reply = await list_pods(pod_resources)
    pods: dict[tuple[str, str], set[str]] = {}
    for each in assignments(reply) if reply is not None else ():
        key = each.resource, physical_id(each.device)
        pods.setdefault(key, set()).add(f"{each.namespace}/{each.pod}")
    return {key: _listed(sorted(names)) for key, names in pods.items()}


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED_LIMIT
    return ", ".join(names[:_NAMED_LIMIT]) + (f" and {more} more" if more > 0 else "")
