"""One document out of several: files in their order, and what holds for this node alone."""

from collections.abc import Collection, Iterator, Mapping
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
    chosen = [n for n, each in enumerate(overrides_in(document)) if _holds(each, node, labels)]
    return with_overrides(document, chosen)


def undecided(document: Any, node: str, labels: Mapping[str, str]) -> Iterator[str]:
    """Yield the overrides that might hold were the node known, and what does not tell of it."""
    variables = {"names": not node and "NODE_NAME", "labels": not labels and "NODE_LABELS_FILE"}
    unknown = {key: variable for key, variable in variables.items() if variable}
    for number, each in enumerate(overrides_in(document)):
        if isinstance(each, dict) and not _holds(each, node, labels):
            lacking = " and ".join(unknown[key] for key in unknown if each.get(key))
            if _holds({**each, **dict.fromkeys(unknown)}, node, labels):
                yield f"nodes[{number}]: is left out, {lacking} not being set"


def overrides_in(document: Any) -> list[Any]:
    """Return the overrides of a document, for whatever nodes."""
    overrides = document.get("nodes") if isinstance(document, dict) else None
    return overrides if isinstance(overrides, list) else []


def with_overrides(document: Any, chosen: Collection[int]) -> Any:
    """Return the document with these of its overrides merged in, by number."""
    overrides = overrides_in(document)
    if not overrides:
        return document
    result = {key: value for key, value in document.items() if key != "nodes"}
    for number in chosen:
        if isinstance(overrides[number], dict):
            result = merge(result, overrides[number].get("config") or {})
    return result


def _holds(override: Any, node: str, labels: Mapping[str, str]) -> bool:
    if not isinstance(override, dict):
        return False
    names, wanted = override.get("names"), override.get("labels")
    if names is not None and not any(fnmatchcase(node, str(pattern)) for pattern in names):
        return False
    return all(labels.get(key) == value for key, value in (wanted or {}).items())
