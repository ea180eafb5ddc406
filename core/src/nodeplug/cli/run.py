"""`nodeplug run`."""

import asyncio
import contextlib
import logging
import os
import signal
from pathlib import Path

import click

from nodeplug._version import __version__
from nodeplug.cli.options import FAILED, USAGE, backends_option, config_option, fail, load_or_report
from nodeplug.config.load import Configuration, load_configuration
from nodeplug.config.settings import AgentSettings
from nodeplug.host.host import open_host
from nodeplug.kubelet.sockets import check_plugin_dir
from nodeplug.log import set_up
from nodeplug.supervisor.agent import Agent, ConfiguredBackend, Node
from nodeplug.values.errors import ConfigError, KubeletDirectoryError

_log = logging.getLogger("nodeplug")


@click.command("run")
@backends_option
@config_option
@click.option("--strict", is_flag=True, help="Do not start while any backend or section is broken.")
def command(names: tuple[str, ...], file: Path | None, strict: bool) -> None:  # noqa: FBT001
    """Run the agent: serve the devices of these backends to the kubelet."""
    os.umask(0o077)
    specs = load_or_report(names)
    try:
        configuration = load_configuration(file, specs)
        check_plugin_dir(Path(configuration.agent.kubelet.device_plugin_dir))
    except (ConfigError, KubeletDirectoryError) as error:
        fail(str(error), USAGE)
    set_up(configuration.agent.log.level, configuration.agent.log.format)
    if strict and len(specs) < len(set(names)):
        fail("a backend is broken and --strict is given", USAGE)
    _report(configuration, strict=strict)
    backends = [
        ConfiguredBackend(spec, configuration.sections[name])
        for name, spec in specs.items()
        if not isinstance(configuration.sections[name], ConfigError)
    ]
    if not backends:
        fail("no backend can be served", USAGE)
    try:
        asyncio.run(_serve(configuration.agent, backends))
    except KubeletDirectoryError as error:
        fail(str(error), FAILED)


def _report(configuration: Configuration, *, strict: bool) -> None:
    for error in configuration.errors:
        if strict:
            fail(str(error), USAGE)
        _log.error("configuration section refused", extra={"nodeplug": {"error": str(error)}})


async def _serve(settings: AgentSettings, backends: list[ConfiguredBackend]) -> None:
    host = open_host(settings.host.root, settings.host.uevents)
    kubelet = settings.kubelet
    directories = Path(kubelet.device_plugin_dir), Path(kubelet.pod_resources_socket)
    agent = Agent(backends, host, Node(*directories, settings.offers))
    running = asyncio.ensure_future(agent.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    facts = {"version": __version__, "backends": [spec.name for spec, _ in backends]}
    _log.info("started", extra={"nodeplug": facts})
    with contextlib.suppress(asyncio.CancelledError):
        await _unwrapped(running)
    _log.info("stopped")


async def _unwrapped(running: "asyncio.Future[None]") -> None:
    try:
        await running
    except* KubeletDirectoryError as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
