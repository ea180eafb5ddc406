"""Finding backends by entry-point name and asking each for its description."""

from collections.abc import Collection, Mapping
from importlib import import_module

import pluggy

from nodeplug.backend import ENTRY_POINT_GROUP, BackendSpec, Hooks
from nodeplug.entry_points import EntryPoint, entry_points
from nodeplug.values.errors import LoadError


def installed() -> dict[str, list[EntryPoint]]:
    """Return the entry points of all installed backends by name, imported or not."""
    found: dict[str, list[EntryPoint]] = {}
    for entry_point in entry_points(ENTRY_POINT_GROUP):
        found.setdefault(entry_point.name, []).append(entry_point)
    return found


def load(name: str) -> BackendSpec:
    """Import one backend and return its description.

    Raises LoadError: not installed, installed twice, an import that fails, or a package that
    breaks the contract. No other backend is imported or disturbed.
    """
    candidates = installed()
    if name not in candidates:
        names = ", ".join(candidates) or "none"
        raise LoadError(f"backend {name!r} is not installed; installed are: {names}")
    if len(candidates[name]) > 1:
        raise LoadError(f"backend {name!r} comes from {_origins(candidates[name])}; keep only one")
    return _load(candidates[name][0])


def load_each(names: Collection[str]) -> Mapping[str, BackendSpec | LoadError]:
    """Load several backends; a failure stands in the place of that backend."""
    results: dict[str, BackendSpec | LoadError] = {}
    for name in names:
        try:
            results[name] = load(name)
        except LoadError as error:
            results[name] = error
    return results


def _load(entry_point: EntryPoint) -> BackendSpec:
    try:
        module = import_module(entry_point.module)
    except ImportError as error:
        raise _failure(entry_point, f"needs something that is missing: {error}") from error
    except Exception as error:
        raise _failure(entry_point, f"fails on import: {error!r}") from error
    try:
        found = _ask(module)
    except Exception as error:
        raise _failure(entry_point, f"breaks the hook: {error}") from error
    if len(found) != 1 or not isinstance(found[0], BackendSpec):
        raise _failure(entry_point, "has no hook nodeplug_backend that returns one BackendSpec")
    spec = found[0]
    if spec.name != entry_point.name:
        raise _failure(entry_point, f"calls itself {spec.name!r}")
    return spec


def _ask(module: object) -> list[BackendSpec]:
    # A manager of its own for every package: one that raises cannot stop the others.
    manager = pluggy.PluginManager("nodeplug")
    manager.add_hookspecs(Hooks)
    manager.register(module)
    manager.check_pending()
    return list(manager.hook.nodeplug_backend())


def _failure(entry_point: EntryPoint, problem: str) -> LoadError:
    return LoadError(f"backend {entry_point.name!r} from {_origins([entry_point])} {problem}")


def _origins(found: Collection[EntryPoint]) -> str:
    return " and ".join(point.origin for point in found)
