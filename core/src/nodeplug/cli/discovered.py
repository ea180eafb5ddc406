"""What backends find, for commands that show it."""

from collections.abc import Mapping

from nodeplug.backend import BackendSpec
from nodeplug.cli.options import FAILED, fail
from nodeplug.cli.tables import printable
from nodeplug.config.load import Configuration
from nodeplug.operations.discovery import discover
from nodeplug.values.inventory import Inventory


async def discover_or_leave(
    specs: Mapping[str, BackendSpec], configuration: Configuration
) -> dict[str, Inventory]:
    """Return the first inventory of each backend; leave if one has none."""
    found: dict[str, Inventory] = {}
    for name, spec in specs.items():
        settings = configuration.sections[name]
        try:
            found[name] = await discover(spec, settings, configuration.agent.host.root)
        except Exception as error:  # noqa: BLE001 - whatever a backend raises
            fail(printable(f"backend {name}: discovery failed: {error!r}"), FAILED)
    return found
