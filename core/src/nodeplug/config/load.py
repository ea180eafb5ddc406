"""From a file and backend names to settings, each backend's section on its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from nodeplug.backend import BackendSpec
from nodeplug.config.document import convert, read_document
from nodeplug.config.settings import AgentSettings
from nodeplug.values.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a file says: for the agent, and per backend its settings or what is wrong with them."""

    agent: AgentSettings
    sections: Mapping[str, Any | ConfigError] = field(default_factory=dict)

    @property
    def errors(self) -> list[ConfigError]:
        """Everything that is wrong with sections."""
        return [section for section in self.sections.values() if isinstance(section, ConfigError)]


def load_configuration(file: Path | None, specs: Mapping[str, BackendSpec]) -> Configuration:
    """Return the configuration for these backends; without a file, the defaults.

    Raises ConfigError when the file as a whole is unusable. A broken section harms only itself.
    """
    source = file or Path("(defaults)")
    document = read_document(file) if file else {}
    agent = convert({} if document is None else document, AgentSettings, source)
    sections: dict[str, Any] = {}
    for name, spec in specs.items():
        try:
            sections[name] = _section(agent, spec, source)
        except ConfigError as error:
            sections[name] = error
    return Configuration(agent, sections)


def _section(agent: AgentSettings, spec: BackendSpec, file: Path) -> Any:
    return convert(
        agent.backends.get(spec.name) or {}, spec.settings, file, f"backends.{spec.name}"
    )


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
