"""Generate what the charts have in common: `python -m helm.generator [FOLDER]`.

From helm/values, the schema of the configuration and the privilege table come each chart's
values.yaml and values.schema.json, the library's table of privileges, and docs/charts.md.
"""

import json
import sys
from pathlib import Path
from typing import Any

from helm.generator import page, privileges, schemas, values

from nodeplug.loader import load

ROOT = Path(__file__).resolve().parents[2]
UMBRELLA = Path("helm/nodeplug")


def main(target: Path) -> None:
    """Write all generated files below a folder that is laid out like the repository."""
    names = sorted(file.parent.name for file in ROOT.glob("plugins/*/pyproject.toml"))
    specs = {name: load(name) for name in names}
    for name, spec in specs.items():
        properties = values.subchart(name)
        folder = target / UMBRELLA / "charts" / values.dashed(name)
        _write_chart(folder, properties, schemas.subchart(properties, spec))
    properties = values.umbrella(names)
    _write_chart(target / UMBRELLA, properties, schemas.umbrella(properties, specs))
    table = target / "helm/nodeplug-lib/templates/_privileges.tpl"
    _write(table, privileges.template(specs))
    _write(target / "docs/charts.md", page.render(names))


def _write_chart(folder: Path, properties: dict[str, Any], schema: dict[str, Any]) -> None:
    _write(folder / "values.yaml", values.text(properties))
    _write(folder / "values.schema.json", json.dumps(schema, indent=1) + "\n")


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
