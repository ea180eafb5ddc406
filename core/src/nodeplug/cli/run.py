"""`nodeplug run`."""

import asyncio
import contextlib
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
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
from nodeplug.host.host import Host, open_host
from nodeplug.host.orphans import reap_orphans
from nodeplug.kubelet.lease import Lease
from nodeplug.log import set_up
from nodeplug.operations.beside import recalled, run_beside, run_pages
from nodeplug.operations.view import View
from nodeplug.supervisor.agent import Agent, ConfiguredBackend, Node, Rules
from nodeplug.supervisor.installation import file_name, owner_of
from nodeplug.supervisor.kept_up import kept_up
from nodeplug.supervisor.reload import Reloader, ReloadReport, changed, refusal
from nodeplug.supervisor.standby import Standby
from nodeplug.values.errors import (
    BrokenSectionError,
    ConfigError,
    KubeletDirectoryError,
    LeaseLostError,
)
from nodeplug.values.trouble import Trouble

# Each resource takes five or so, and each client of the port one.
_DESCRIPTORS = 65_536
# What is being written is at its end by then, or its disk hangs.
_RELEASE_SECONDS = 2.0

_LEAVE_SECONDS = 2.0

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
    except (KubeletDirectoryError, LeaseLostError) as error:
        _log.error("the agent ends", extra={"nodeplug": {"error": str(error)}})
        sys.exit(FAILED)


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
    feature_dir = settings.labels.feature_dir if settings.labels.enabled else ""
    registry = Path(kubelet.registry) if kubelet.registry else None
    ledger_dir = Path(settings.host.ledger_dir) if settings.host.ledger_dir else None
    node = Node(
        *directories,
        Rules(),
        Path(settings.cdi.spec_dir),
        feature_dir,
        registry,
        installation,
        ledger_dir,
        settings,
        before.offers,
    )
    names = [spec.name for spec, _ in backends]
    leases = [f"{file_name(installation)}-{name}" for name in names]
    lease = Lease(node.plugin_dir, leases, owner_of(names, installation))
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _begin_anew)
    ending = asyncio.create_task(ended.wait())
    waiting = asyncio.create_task(_stand_by(lease, start, (host, node), missing))
    await asyncio.wait({waiting, ending}, return_when=asyncio.FIRST_COMPLETED)
    if waiting.done():
        waiting.result()
        # What was annotated meanwhile counts.
        rules = Rules(settings.offers, settings.quarantine, await recalled(settings))
        agent = Agent(backends, host, node._replace(rules=rules, contended=lease.contended))
        reloader = Reloader(files, load, agent, configuration.errors, missing)
        await _run(agent, reloader, lease, start, ending)
    else:
        waiting.cancel()
        await asyncio.wait({waiting})
    _log.info("stopped")
    await _leave()


def _begin_anew() -> None:
    """Start once more as this process: a standby has nothing that others would miss."""
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - there is no shell


async def _stand_by(
    lease: Lease, start: _Start, place: tuple[Host, Node], missing: Sequence[Trouble]
) -> None:
    """Return when this is the agent of its installation that serves the node."""
    if await lease.try_acquire():
        return
    standby = Standby(start.backends, *place)
    problems = ReloadReport((*missing, *map(refusal, start.configuration.errors)), time.time())
    report = lambda: standby.report(lease.holder)  # noqa: E731
    view = View(report, lambda: problems, place[1].pod_resources)
    specs = [spec for spec, _ in start.backends]
    async with asyncio.TaskGroup() as tasks:
        pages = run_pages(view, start.configuration.agent, specs)
        works = standby.run(), pages, _with_new_files(start.files)
        beside = [tasks.create_task(each) for each in works]
        await lease.acquire()
        for task in beside:
            task.cancel()


async def _with_new_files(files: Mapping[Path, object]) -> None:
    await changed(files)
    _log.info("configuration changed, standing by anew")
    _begin_anew()


async def _run(
    agent: Agent, reloader: Reloader, lease: Lease, start: _Start, ending: "asyncio.Future[Any]"
) -> None:
    """Serve until the end is asked for; where another agent stands by, until that one serves."""
    specs = [spec for spec, _ in start.backends]
    beside = run_beside(agent, reloader, start.configuration.agent, specs)
    works: list[Coroutine[Any, Any, None]]
    reloading, reaping = kept_up("reloading", reloader.run), kept_up("reaping", reap_orphans)
    works = [agent.run(), reloading, beside, reaping, lease.hold()]
    parts = [asyncio.create_task(each) for each in (*works, _taken(agent, lease))]
    running: asyncio.Future[Any] = asyncio.gather(*parts)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.asked.set)
    facts = {"version": __version__, "backends": [spec.name for spec in specs]}
    _log.info("started", extra={"nodeplug": facts})
    await asyncio.wait({running, ending}, return_when=asyncio.FIRST_COMPLETED)
    if lease.wanted and not running.done():
        await _hand_over(agent, lease)
    running.cancel()
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await _unwrapped(running)
    finally:  # the gathering ends with its first part
        for part in parts:
            part.cancel()
        await asyncio.wait(parts)


async def _taken(agent: Agent, lease: Lease) -> None:
    await agent.serving()
    lease.taken()


async def _hand_over(agent: Agent, lease: Lease) -> None:
    _log.info("handing over to the agent that stands by")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_RELEASE_SECONDS):
            await agent.release()
    await lease.hand_over()


async def _leave() -> None:
    """Break off what is left; end at once where that cannot be, as where gRPC has no threads."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for each in left:
        each.cancel()
    if left and (await asyncio.wait(left, timeout=_LEAVE_SECONDS))[1]:
        os._exit(0)


async def _unwrapped(running: "asyncio.Future[Any]") -> None:
    try:
        await running
    except* (KubeletDirectoryError, LeaseLostError) as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
