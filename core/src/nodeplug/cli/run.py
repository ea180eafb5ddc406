"""`nodeplug run`."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from nodeplug._version import __version__
from nodeplug.backend import BackendSpec
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
from nodeplug.kubelet.sockets import check_plugin_dir
from nodeplug.log import set_up
from nodeplug.operations.beside import recalled, run_beside
from nodeplug.supervisor.agent import Agent, ConfiguredBackend, Node, Rules
from nodeplug.supervisor.last_good import LastGood
from nodeplug.supervisor.reload import Reloader
from nodeplug.values.errors import BrokenSectionError, ConfigError, KubeletDirectoryError

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
    specs = load_or_report(names)
    if strict and len(specs) < len(set(names)):
        fail("a backend is broken and --strict is given", USAGE)
    load = partial(load_configuration, sources, specs, node_facts())
    files = {source.path: stamp(source.path) for source in sources}
    configuration = _load(load, specs, strict=strict)
    plugin_dir = Path(configuration.agent.kubelet.device_plugin_dir)
    try:
        check_plugin_dir(plugin_dir)
    except KubeletDirectoryError as error:
        fail(str(error), USAGE)
    set_up(configuration.agent.log.level, configuration.agent.log.format)
    settle()
    installation = installation or installation_of(sources)
    backends = _with_last_good(configuration, specs, LastGood(plugin_dir, installation))
    if all(backend.settings is None for backend in backends):
        fail("no backend can be served", USAGE)
    try:
        asyncio.run(_serve(configuration, backends, files, load, installation))
    except KubeletDirectoryError as error:
        fail(str(error), FAILED)


def _load(
    load: Callable[[], Configuration], specs: Mapping[str, BackendSpec], *, strict: bool
) -> Configuration:
    try:
        configuration = load()
    except ConfigError as error:
        if strict:
            fail(str(error), USAGE)
        configuration = Configuration(
            AgentSettings(), dict.fromkeys(specs, BrokenSectionError([error]))
        )
    if configuration.errors and strict:
        fail(str(configuration.errors[0]), USAGE)
    return configuration


def _with_last_good(
    configuration: Configuration, specs: Mapping[str, BackendSpec], last_good: LastGood
) -> list[ConfiguredBackend]:
    """Return the backends, in the place of a broken section what worked last.

    Where nothing did, what is right of the section holds.
    """
    for line in configuration.ignored:
        _log.warning("configuration ignored", extra={"nodeplug": {"key": line}})
    backends = []
    for name, spec in specs.items():
        settings = configuration.sections[name]
        if isinstance(settings, BrokenSectionError):
            broken, settings = settings, last_good.load(spec)
            for error in broken.errors:
                facts = {"backend": name, "error": str(error), "last_good": settings is not None}
                _log.error("configuration section refused", extra={"nodeplug": facts})
            settings = broken.remains if settings is None else settings
        backends.append(ConfiguredBackend(spec, settings))
    return backends


async def _serve(
    configuration: Configuration,
    backends: list[ConfiguredBackend],
    files: Mapping[Path, object],
    load: Callable[[], Configuration],
    installation: str,
) -> None:
    settings = configuration.agent
    host = open_host(settings.host.root, settings.host.uevents)
    kubelet = settings.kubelet
    directories = Path(kubelet.device_plugin_dir), Path(kubelet.pod_resources_socket)
    rules = Rules(settings.offers, settings.quarantine, recalled(settings))
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
    )
    agent = Agent(backends, host, node)
    reloader = Reloader(files, load, agent, configuration.errors)
    beside = run_beside(agent, reloader, settings, [spec for spec, _ in backends])
    running = asyncio.gather(agent.run(), reloader.run(), beside, reap_orphans())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    loop.add_signal_handler(signal.SIGHUP, reloader.asked.set)
    facts = {"version": __version__, "backends": [spec.name for spec, _ in backends]}
    _log.info("started", extra={"nodeplug": facts})
    with contextlib.suppress(asyncio.CancelledError):
        await _unwrapped(running)
    _log.info("stopped")


async def _unwrapped(running: "asyncio.Future[Any]") -> None:
    try:
        await running
    except* KubeletDirectoryError as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
