"""Generate docs/configuration.md and docs/privileges.md: `python docs/generate.py [FOLDER]`."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nodeplug.backend import Privilege
from nodeplug.config.load import schema
from nodeplug.loader import load
from nodeplug.operations.privileges import CORE

ROOT = Path(__file__).resolve().parent.parent
HEAD = """\
# Configuration

This page is made by `make docs` from the types that the program reads its configuration with.

YAML (or JSON) files hold everything; one is enough:

    nodeplug run --backend custom --config nodeplug.yaml

- Every key has a default unless the table says *required*. Without a file, all defaults hold.
- `nodeplug config check FILE` checks a file and names each error with file, key, value and line.
  Overrides for nodes are tried in every combination that a node can have, so that what breaks on
  one node is found before. A rule that no device of this machine matches is a warning.
- `nodeplug config diff OLD NEW` shows what this node would offer otherwise by another file: names
  and devices that come and go, and the pods that have what would go. Exit 1 if anything changes,
  2 if a part cannot be compared: a section that is wrong, or overrides while `NODE_NAME` and
  `NODE_LABELS_FILE` do not say which node this is.
- Values are read as YAML 1.2 has them: `0000:03:02.0`, `on`, `1_2` and `0403` are text as it
  stands. Where text is wanted, `8086` is text, too.
  [What kubectl and Helm read otherwise](yaml.md).
- `nodeplug config schema` prints the JSON schema for the backends installed, for editors.
- An unknown key, a key given twice and a wrong type are errors.
- Of several files, what a later one says wins, and its list entries come first.
- A mistake in the section of one backend concerns that backend only: it runs with what worked
  last, or not at all. With `--strict`, nothing starts.
- Files are taken over as they are exchanged, by a ConfigMap or an editor, or written, and at
  SIGHUP; see [offers.md](offers.md#reload).
- A section of a backend that `--backend` does not name is not read.
"""


NEEDS = """\
# Privileges

This page is made by `make docs` from what core and backends say of themselves; the charts grant
this and nothing else.

The agent runs as root without any capability, in a container that is not privileged: it looks at
device nodes without opening them. Beyond what is always needed, each feature is off until its
setting is given, and then needs what its line says.
"""


def main(folder: Path) -> None:
    """Write both pages."""
    names = sorted(file.parent.name for file in ROOT.glob("plugins/*/pyproject.toml"))
    specs = {name: load(name) for name in names}
    (folder / "configuration.md").write_text(render(schema(specs)))
    tables = {"core": CORE} | {name: spec.privileges for name, spec in specs.items()}
    (folder / "privileges.md").write_text("\n".join([NEEDS, *_tables(tables)]))


def _tables(privileges: Mapping[str, Sequence[Privilege]]) -> Iterator[str]:
    for name, lines in privileges.items():
        yield f"## `{name}`\n"
        if not lines:
            yield "Nothing besides.\n"
            continue
        yield "| for | setting | needs | because |"
        yield "|---|---|---|---|"
        for line in lines:
            setting = f"`{line.setting}`" if line.setting else "always"
            yield f"| {line.feature} | {setting} | {_needs(line)} | {line.reason} |"
        yield ""


def _needs(line: Privilege) -> str:
    needs = ["a privileged container"] if line.privileged else []
    needs += ["the host's network"] if line.host_network else []
    needs += [f"capability `{name}`" for name in line.capabilities]
    needs += [
        f"`{mount.path}` of the host{'' if mount.read_only else ', writable'}"
        f"{', with later mounts' if mount.propagation else ''}"
        for mount in line.mounts
    ]
    needs += [
        f"{', '.join(right.verbs)} on {right.resource}"
        f"{f' in namespace `{right.namespace}`' if right.namespace else ''}"
        for right in line.rights
    ]
    return "; ".join(needs) or "nothing"


def render(document: dict[str, Any]) -> str:
    """Return the page for a schema."""
    page = _Page(document["$defs"])
    return "\n".join([HEAD, *page.section("AgentSettings", "")])


class _Page:
    def __init__(self, definitions: dict[str, Any]) -> None:
        self._definitions = definitions

    def section(self, name: str, path: str) -> Iterator[str]:
        """Yield the lines of one type, then those of the types below it."""
        definition = self._definitions[name]
        required = definition["required"]
        yield f"## {f'`{path}`' if path else 'Top level'}\n"
        if path:
            yield f"{definition['description']}\n"
        yield "| key | type | default | meaning |"
        yield "|---|---|---|---|"
        for key, value in definition["properties"].items():
            default = "*required*" if key in required else _default(value)
            yield f"| `{key}` | {self._type(value)} | {default} | {self._meaning(value)} |"
        yield ""
        for key, value in definition["properties"].items():
            for suffix, below in _below(value):
                yield from self.section(below, f"{path}.{key}{suffix}".lstrip("."))

    def _meaning(self, value: dict[str, Any]) -> str:
        described = value if "description" in value else self._definitions[_name(value)]
        return str(described["description"])

    def _type(self, value: dict[str, Any]) -> str:
        if "anyOf" in value:
            return " or ".join(map(self._type, value["anyOf"]))
        if "enum" in value:
            return " or ".join(f"`{choice}`" for choice in value["enum"])
        if "$ref" in value:
            return "section"
        if value["type"] == "array":
            return f"list, {self._type(value['items'])} each"
        if value["type"] == "object":
            return "map"
        least = f", at least {value['minimum']}" if "minimum" in value else ""
        return f"{value['type']}{least}"


def _default(value: dict[str, Any]) -> str:
    if "$ref" in value:
        return "its defaults"
    return f"`{json.dumps(value['default'])}`"


def _below(value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for one in value.get("anyOf", []):
        yield from _below(one)
    if "$ref" in value:
        yield "", _name(value)
    elif "$ref" in value.get("items", {}):
        yield "[]", _name(value["items"])
    for key, section in value.get("properties", {}).items():
        yield f".{key}", _name(section)


def _name(value: dict[str, Any]) -> str:
    return str(value["$ref"]).rpartition("/")[2]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs")
