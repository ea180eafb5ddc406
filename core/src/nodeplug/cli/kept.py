"""What is kept of a configuration that worked, for files that cannot be read."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nodeplug.backend import BackendSpec
from nodeplug.cli.options import node_facts, report
from nodeplug.config.document import read_document
from nodeplug.config.load import Configuration, Source
from nodeplug.config.merge import for_node, merge
from nodeplug.config.section import read_section
from nodeplug.config.settings import PLUGIN_DIR, AgentSettings
from nodeplug.host.calls import call
from nodeplug.kubelet.sockets import check_plugin_dir
from nodeplug.supervisor.files import DISK_SECONDS
from nodeplug.supervisor.last_good import LastGood
from nodeplug.values.errors import BrokenSectionError, ConfigError


def kept(plugin_dir: Path, installation: str, *, serves: bool = False) -> AgentSettings | None:
    """Return what an installation has kept, if anything can be read of it in time.

    Where it `serves`, raise KubeletDirectoryError if the directory cannot hold our sockets.
    """

    def look() -> AgentSettings | None:
        if serves:
            check_plugin_dir(plugin_dir)
        return LastGood(plugin_dir, installation).load()

    try:
        return asyncio.run(call(look, timeout=DISK_SECONDS))
    except (RuntimeError, TimeoutError):  # too many threads, or a disk that hangs
        report(f"{plugin_dir}: what is kept there cannot be read now")
        return None


def kept_whole(
    error: ConfigError,
    sources: Sequence[Source],
    specs: Mapping[str, BackendSpec],
    installation: str,
) -> Configuration | None:
    """Return what worked last for an installation whose files cannot be read whole, if anything.

    It is looked for in the kubelet's directory that the files name as far as they can be read.
    """
    agent = kept(_plugin_dir(sources), installation)
    if agent is None:
        return None
    sections = {
        name: BrokenSectionError([error]) if (own := kept_section(agent, spec)) is None else own
        for name, spec in specs.items()
    }
    return Configuration(agent, sections, refused=[error])


def kept_section(agent: AgentSettings, spec: BackendSpec) -> Any | None:
    """Return the settings that are kept for a backend, or None if there are none that still fit."""
    if spec.name not in agent.backends:
        return None
    settings = read_section(agent.backends[spec.name], spec, Path("(kept)"))
    return None if isinstance(settings, BrokenSectionError) else settings


def _plugin_dir(sources: Sequence[Source]) -> Path:
    node = node_facts()
    merged: dict[str, Any] = {}
    for source in sources:
        try:
            own = {} if source.backend else read_document(source.path)
            own = for_node(own, node.name, node.labels)
            merged = merge(merged, own) if isinstance(own, dict) else merged
        except Exception:  # noqa: BLE001, S112 - it is broken, in whatever way
            continue
    kubelet = merged.get("kubelet")
    found = kubelet.get("devicePluginDir") if isinstance(kubelet, Mapping) else None
    return Path(found if isinstance(found, str) else PLUGIN_DIR)
