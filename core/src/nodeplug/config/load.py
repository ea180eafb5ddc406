"""From files and backend names to settings, each backend's section on its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import msgspec

from nodeplug.backend import BackendSpec
from nodeplug.config.document import convert, read_document
from nodeplug.config.merge import for_node, merge
from nodeplug.config.settings import AgentSettings
from nodeplug.values.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Configuration:
    """What files say: for the agent, and per backend its settings or what is wrong with them."""

    agent: AgentSettings
    sections: Mapping[str, Any | ConfigError] = field(default_factory=dict)

    @property
    def errors(self) -> list[ConfigError]:
        """Everything that is wrong with sections."""
        return [section for section in self.sections.values() if isinstance(section, ConfigError)]

    @property
    def valid(self) -> dict[str, Any]:
        """The settings of the backends whose sections are right."""
        return {n: s for n, s in self.sections.items() if not isinstance(s, ConfigError)}


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What overrides in a file can be for: the node's name and labels, empty where not known."""

    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def load_configuration(
    files: Sequence[Path], specs: Mapping[str, BackendSpec], node: NodeFacts | None = None
) -> Configuration:
    """Return the configuration for these backends; without a file, the defaults.

    What a later file says takes the place of what an earlier one says, and its list entries come
    first. Raises ConfigError when a file as a whole is unusable. A broken section harms only
    itself.
    """
    facts = node or NodeFacts()
    documents = [_document(file) for file in files]
    here = [for_node(document, facts.name, facts.labels) for document in documents]
    merged: Any = reduce(merge, here, {})
    source = Path(" + ".join(map(str, files)) or "(defaults)")
    agent = convert(merged, AgentSettings, source)
    return Configuration(agent, {n: _section(agent, spec, source) for n, spec in specs.items()})


def _document(file: Path) -> Any:
    document = read_document(file)
    settings = convert({} if document is None else document, AgentSettings, file)
    for number, override in enumerate(settings.nodes):
        convert(override.config, AgentSettings, file, f"nodes[{number}].config")
    return {} if document is None else document


def _section(agent: AgentSettings, spec: BackendSpec, source: Path) -> Any:
    section = agent.backends.get(spec.name)
    try:
        return convert(
            {} if section is None else section, spec.settings, source, f"backends.{spec.name}"
        )
    except ConfigError as error:
        return error


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
