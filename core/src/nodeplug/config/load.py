"""From files and backend names to settings, each backend's section on its own."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from nodeplug.backend import BackendSpec
from nodeplug.config.document import convert, parse_document, read_document, read_documents
from nodeplug.config.merge import for_node, merge, undecided, with_overrides
from nodeplug.config.section import read_section
from nodeplug.config.settings import AgentSettings
from nodeplug.values.errors import BrokenSectionError, ConfigError, InvalidValueError


class Source(msgspec.Struct, frozen=True):
    """A configuration file; with a backend, the file of the plugin that the backend replaces."""

    path: Path
    backend: str = ""


class Configuration(msgspec.Struct, frozen=True):
    """What files say: for the agent, and per backend its settings or what is wrong with them.

    `ignored` names what has no meaning here, `notes` what is meant otherwise than it may look, one
    line each. `undecided` names overrides that may hold on this node, which is not known. `whole`
    says that nothing of another plugin's file was left out. `refused` is why it is not what the
    files say but what was kept.
    """

    agent: AgentSettings
    sections: Mapping[str, Any | BrokenSectionError] = msgspec.field(default_factory=dict)
    ignored: Sequence[str] = ()
    whole: bool = True
    refused: Sequence[ConfigError] = ()
    notes: Sequence[str] = ()
    undecided: Sequence[str] = ()

    @property
    def errors(self) -> list[ConfigError]:
        """Everything that is wrong."""
        broken = (s for s in self.sections.values() if isinstance(s, BrokenSectionError))
        return [*self.refused, *(error for section in broken for error in section.errors)]

    @property
    def valid(self) -> dict[str, Any]:
        """The settings of the backends whose sections are right."""
        return {n: s for n, s in self.sections.items() if not isinstance(s, BrokenSectionError)}

    @property
    def usable(self) -> dict[str, Any]:
        """The settings of the backends, of broken sections what is right of them, if anything."""
        usable = {
            name: section.remains if isinstance(section, BrokenSectionError) else section
            for name, section in self.sections.items()
        }
        return {name: settings for name, settings in usable.items() if settings is not None}


class NodeFacts(msgspec.Struct, frozen=True):
    """What overrides in a file can be for: the node's name and labels, empty where not known."""

    name: str = ""
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)


class _Part(msgspec.Struct, frozen=True):
    """What one file says, and what of a backend's section it says wrongly."""

    document: Any
    refused: Mapping[str, Sequence[ConfigError]] = {}
    ignored: Sequence[str] = ()
    notes: Sequence[str] = ()


def load_configuration(
    sources: Sequence[Source], specs: Mapping[str, BackendSpec], node: NodeFacts | None = None
) -> Configuration:
    """Return the configuration for these backends; without a file, the defaults.

    What a later file says takes the place of what an earlier one says, and its list entries come
    first. Raises ConfigError when a file as a whole is unusable. A broken section harms only
    itself.
    """
    facts = node or NodeFacts()
    parts = [_part(source, specs) for source in sources]
    here = [for_node(part.document, facts.name, facts.labels) for part in parts]
    origin = Path(" + ".join(str(source.path) for source in sources) or "(defaults)")
    found = _configuration(parts, reduce(merge, here, {}), specs, origin)
    unknown = [
        f"{source.path}: {place}"
        for source, part in zip(sources, parts, strict=True)
        for place in undecided(part.document, facts.name, facts.labels)
    ]
    return replace(found, undecided=unknown)


class Combination(NamedTuple):
    """What a file says where some of its overrides hold, or why that cannot be.

    `origin` names the file and these overrides.
    """

    origin: Path
    said: Configuration | ConfigError


def load_combinations(source: Source, specs: Mapping[str, BackendSpec]) -> Iterator[Combination]:
    """Yield what a file says for all kinds of nodes: first for those without any override.

    Raises ConfigError when the file as a whole is unusable.
    """
    from nodeplug.config.combinations import combinations  # noqa: PLC0415 - not for daemons

    part = _part(source, specs)
    overrides = convert(part.document, AgentSettings, source.path).nodes
    for chosen in combinations(overrides):
        named = " and ".join(f"nodes[{number}]" for number in chosen)
        origin = Path(f"{source.path} with {named}") if chosen else source.path
        try:
            document = with_overrides(part.document, chosen)
            yield Combination(origin, _configuration([part], document, specs, origin))
        except ConfigError as error:
            yield Combination(origin, error)


def _configuration(
    parts: Sequence[_Part], merged: Any, specs: Mapping[str, BackendSpec], origin: Path
) -> Configuration:
    agent = convert(merged, AgentSettings, origin)
    sections = {}
    for name, spec in specs.items():
        refused = [error for part in parts for error in part.refused.get(name, ())]
        sections[name] = read_section(agent.backends.get(name), spec, origin, refused)
    ignored = [line for part in parts for line in part.ignored]
    notes = [line for part in parts for line in part.notes]
    whole = not any(part.refused for part in parts)
    return Configuration(agent, sections, ignored, whole, notes=notes)


def _part(source: Source, specs: Mapping[str, BackendSpec]) -> _Part:
    if not source.backend:
        return _Part(_document(source.path))
    if source.backend not in specs:
        return _Part({})
    try:
        return _translated(source, specs[source.backend])
    except ConfigError as error:
        return _Part({}, {source.backend: [error]})


def _translated(source: Source, spec: BackendSpec) -> _Part:
    path = source.path
    if spec.reader is None:
        text = f"{path}: backend {spec.name} reads no other plugin's files"
        raise ConfigError(text, str(path))
    theirs = _content(path)
    try:
        found = spec.reader(theirs)
    except InvalidValueError as error:
        raise ConfigError(f"{path}: {error}", str(path)) from error
    except Exception as error:
        raise ConfigError(f"{path}: cannot be translated: {error!r}", str(path)) from error
    document = {"backends": {spec.name: found.section}, "offers": list(found.offers)}
    convert(document, AgentSettings, path)
    refused = [ConfigError(f"{path}: {line}", str(path)) for line in found.refused]
    ignored = [f"{path}: {line}" for line in found.ignored]
    notes = [f"{path}: {line}" for line in found.notes]
    return _Part(document, {spec.name: refused} if refused else {}, ignored, notes)


def _content(path: Path) -> Any:
    """Return what another plugin's file says; of a ConfigMap, what its one file does.

    Of several documents, objects of Kubernetes, that is the one ConfigMap or a list of all. Texts
    in a list are flags, whose YAML becomes JSON: that plugin reads them otherwise than files.
    """
    documents = read_documents(path)
    document = _said(documents[0] if len(documents) == 1 else documents or None, path)
    maps = [each for each in documents if _kind(each) == "ConfigMap"]
    if len(documents) > 1 and (len(maps) > 1 or not all(map(_kind, documents))):
        raise ConfigError(f"{path}: has several documents, one of which is meant", str(path))
    if maps:
        document, path = _of_config_map(maps[0], path)
    if not isinstance(document, list):
        return document
    return [_as_json(each, path) if isinstance(each, str) else each for each in document]


def _kind(document: object) -> object:
    return document.get("kind") if isinstance(document, dict) else None


def _of_config_map(document: Mapping[str, Any], path: Path) -> tuple[Any, Path]:
    data = document.get("data")
    files = data if isinstance(data, dict) else {}
    texts = [each for each in files.values() if isinstance(each, str)]
    if len(files) != 1 or not texts or document.get("binaryData"):
        found = ", ".join(map(repr, files)) or "none"
        raise ConfigError(f"{path}: data: needs one file of text, not {found}", str(path))
    [(name, text)] = files.items()
    origin = Path(f"{path} data.{name}")
    return parse_document(text.encode(), origin, typed=True), origin


def _as_json(text: str, origin: Path) -> str:
    try:
        return json.dumps(parse_document(text.encode(), origin, typed=True), default=str)
    except (ConfigError, TypeError, UnicodeEncodeError):
        return text  # which its reader refuses by its place


def _document(file: Path) -> Any:
    document = _said(read_document(file), file)
    if _kind(document) == "ConfigMap":
        data = document.get("data")
        names = ", ".join(map(repr, data)) if isinstance(data, dict) else "there is nothing"
        problem = f"is a whole ConfigMap; give a file of its data by itself: {names}"
        raise ConfigError(f"{file}: {problem}", str(file))
    settings = convert(document, AgentSettings, file)
    for number, override in enumerate(settings.nodes):
        convert(override.config, AgentSettings, file, f"nodes[{number}].config")
    return document


def _said(document: Any, file: Path) -> Any:
    """Return what a file says. One that says nothing was cut off: a disk had no room for it."""
    if document is None:
        raise ConfigError(f"{file}: is empty; where defaults are meant, write {{}}", str(file))
    return document


def schema(specs: Mapping[str, BackendSpec]) -> dict[str, Any]:
    """Return the JSON schema of a configuration file with the sections of these backends."""
    kinds = [AgentSettings, *(spec.settings for spec in specs.values())]
    references, components = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    sections = dict(zip(specs, references[1:], strict=True))
    backends = components["AgentSettings"]["properties"]["backends"]
    backends |= {"properties": sections}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nodeplug configuration",
        **references[0],
        "$defs": components,
    }
