"""One document out of several: files in their order, and what holds for this node alone."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any


def merge(base: Any, top: Any) -> Any:
    """Return both documents as one.

    Mappings are merged key by key. Lists of `top` come first: where the first match holds, what
    is more specific wins. Any other value of `top` takes the place of the former.
    """
    if isinstance(base, Mapping) and isinstance(top, Mapping):
        merged = {key: merge(base[key], top[key]) for key in base if key in top}
        return {**base, **top, **merged}
    if isinstance(base, list) and isinstance(top, list):
        return [*top, *base]
    return top


def for_node(document: Any, node: str, labels: Mapping[str, str]) -> Any:
    """Return the document with the overrides for this node merged in, and no others."""
    if not isinstance(document, dict) or not isinstance(document.get("nodes"), list):
        return document
    result = {key: value for key, value in document.items() if key != "nodes"}
    for override in document["nodes"]:
        if isinstance(override, dict) and _holds(override, node, labels):
            result = merge(result, override.get("config") or {})
    return result


def _holds(override: Mapping[str, Any], node: str, labels: Mapping[str, str]) -> bool:
    names, wanted = override.get("names"), override.get("labels")
    if names is not None and not any(fnmatchcase(node, str(pattern)) for pattern in names):
        return False
    return all(labels.get(key) == value for key, value in (wanted or {}).items())
