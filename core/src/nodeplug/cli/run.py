"""`nodeplug run`."""

import asyncio
import contextlib
import logging
import os
import resource
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click

from nodeplug._version import __version__
from nodeplug.backend import BackendSpec
from nodeplug.cli.kept import kept, kept_section, kept_whole
from nodeplug.cli.lean import settle
from nodeplug.cli.options import (
    FAILED,
    USAGE,
    backends_option,
    config_option,
    fail,
    installation_of,
    load_or_report,
    node_facts,
)
from nodeplug.config.load import Configuration, Source, load_configuration
from nodeplug.config.settings import AgentSettings
from nodeplug.host.files import stamp
from nodeplug.host.host import open_host
from nodeplug.host.orphans import reap_orphans
from nodeplug.log import set_up
from nodeplug.operations.beside import recalled, run_beside
from nodeplug.supervisor.agent import Agent, ConfiguredBackend, Node, Rules
from nodeplug.supervisor.kept_up import kept_up
from nodeplug.supervisor.reload import Reloader
from nodeplug.values.errors import BrokenSectionError, ConfigError, KubeletDirectoryError
from nodeplug.values.trouble import Trouble

# Each resource takes five or so, and each client of the port one.
_DESCRIPTORS = 65_536

_log = logging.getLogger("nodeplug")


@click.command("run")
@backends_option
@config_option
@click.option(
    "--installation",
    envvar="NODEPLUG_INSTALLATION",
    help="Whose agent it is, where a node has several: only what worked for the same one is used "
    "in the place of a broken section. By default the paths of the configuration files.",
)
@click.option("--strict", is_flag=True, help="Do not start while any backend or section is broken.")
def command(
    names: tuple[str, ...],
    sources: list[Source],
    installation: str | None,
    strict: bool,  # noqa: FBT001 - click's way
) -> None:
    """Run the agent: serve the devices of these backends to the kubelet."""
    os.umask(0o077)
    _have_descriptors()
    specs = load_or_report(names)
    if strict and len(specs) < len(set(names)):
        fail("a backend is broken and --strict is given", USAGE)
    load = partial(load_configuration, sources, specs, node_facts())
    installation = installation or installation_of(sources)
    files = {source.path: stamp(source.path) for source in sources}
    configuration = _load(load, sources, specs, installation, strict=strict)
    plugin_dir = Path(configuration.agent.kubelet.device_plugin_dir)
    try:
        before = kept(plugin_dir, installation, serves=True) or AgentSettings()
    except KubeletDirectoryError as error:
        fail(str(error), USAGE)
    set_up(configuration.agent.log.level, configuration.agent.log.format)
    settle()
    backends = _with_last_good(configuration, specs, before)
    if all(backend.settings is None for backend in backends):
        fail("no backend can be served", USAGE)
    try:
        start = _Start(configuration, backends, files, installation, before)
        asyncio.run(_serve(start, load, _missing(names, specs)))
    except KubeletDirectoryError as error:
        fail(str(error), FAILED)


def _have_descriptors() -> None:
    """Take as many as are allowed: the limit that is in force may be meant for `select` (1024)."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if most == resource.RLIM_INFINITY else min(most, _DESCRIPTORS)
    if limit != resource.RLIM_INFINITY and limit < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _load(
    load: Callable[[], Configuration],
    sources: Sequence[Source],
    specs: Mapping[str, BackendSpec],
    installation: str,
    *,
    strict: bool,
) -> Configuration:
    """Return the configuration; in the place of files that cannot be read whole what was kept.

    Where nothing is, leave: no directory and no port is taken that the files do not name.
    """
    try:
        configuration = load()
    except ConfigError as error:
        last_good = None if strict else kept_whole(error, sources, specs, installation)
        if last_good is None:
            fail(str(error), USAGE)
        return last_good
    if configuration.errors and strict:
        fail(str(configuration.errors[0]), USAGE)
    return configuration


def _with_last_good(
    configuration: Configuration, specs: Mapping[str, BackendSpec], before: AgentSettings
) -> list[ConfiguredBackend]:
    """Return the backends, in the place of a broken section what worked last.

    Where nothing did, what is right of the section holds.
    """
    for line in configuration.ignored:
        _log.warning("configuration ignored", extra={"nodeplug": {"key": line}})
    for line in configuration.notes:
        _log.info("configuration noted", extra={"nodeplug": {"key": line}})
    for error in configuration.refused:
        facts = {"error": str(error), "last_good": True}
        _log.error("configuration refused", extra={"nodeplug": facts})
    backends = []
    for name, spec in specs.items():
        settings = configuration.sections[name]
        if isinstance(settings, BrokenSectionError):
            broken, settings = settings, kept_section(before, spec)
            for error in broken.errors:
                facts = {"backend": name, "error": str(error), "last_good": settings is not None}
                _log.error("configuration section refused", extra={"nodeplug": facts})
            settings = broken.remains if settings is None else settings
        backends.append(ConfiguredBackend(spec, settings))
    return backends


def _missing(names: Sequence[str], specs: Mapping[str, BackendSpec]) -> list[Trouble]:
    """Return what is not served as its backend could not be loaded."""
    texts = [f"backend {name}: cannot be loaded" for name in names if name not in specs]
    return [Trouble("BackendNotLoaded", text, blocks=True) for text in dict.fromkeys(texts)]


class _Start(NamedTuple):
    """What an agent is started with; `before` is what its installation has kept."""

    configuration: Configuration
    backends: list[ConfiguredBackend]
    files: Mapping[Path, object]
    installation: str
    before: AgentSettings


async def _serve(
    start: _Start, load: Callable[[], Configuration], missing: Sequence[Trouble]
) -> None:
    configuration, backends, files, installation, before = start
    settings = configuration.agent
    host = open_host(settings.host.root, settings.host.uevents)
    kubelet = settings.kubelet
    directories = Path(kubelet.device_plugin_dir), Path(kubelet.pod_resources_socket)
    rules = Rules(settings.offers, settings.quarantine, await recalled(settings))
    feature_dir = settings.labels.feature_dir if settings.labels.enabled else ""
    registry = Path(kubelet.registry) if kubelet.registry else None
    ledger_dir = Path(settings.host.ledger_dir) if settings.host.ledger_dir else None
    node = Node(
        *directories,
        rules,
        Path(settings.cdi.spec_dir),
        feature_dir,
        registry,
        installation,
        ledger_dir,
        settings,
        before.offers,
    )
    agent = Agent(backends, host, node)
    reloader = Reloader(files, load, agent, configuration.errors, missing)
    beside = run_beside(agent, reloader, settings, [spec for spec, _ in backends])
    loop = asyncio.get_running_loop()
    reloading, reaping = kept_up("reloading", reloader.run), kept_up("reaping", reap_orphans)
    works = agent.run(), reloading, beside, reaping
    parts = [loop.create_task(each) for each in works]
    running = asyncio.gather(*parts)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    loop.add_signal_handler(signal.SIGHUP, reloader.asked.set)
    facts = {"version": __version__, "backends": [spec.name for spec, _ in backends]}
    _log.info("started", extra={"nodeplug": facts})
    with contextlib.suppress(asyncio.CancelledError):
        await _unwrapped(running)
    await asyncio.wait(parts)  # the gathering ends with its first part
    _log.info("stopped")


async def _unwrapped(running: "asyncio.Future[Any]") -> None:
    try:
        await running
    except* KubeletDirectoryError as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
