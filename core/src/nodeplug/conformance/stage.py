"""A kubelet, a plugin, and shorthand to ask both."""

import asyncio
import shlex
import shutil
import tempfile
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

import grpc.aio

from nodeplug.conformance.plugin import PluginProcess, environment
from nodeplug.conformance.subject import Places, Subject
from nodeplug.conformance.verdicts import Broken, NotJudgedError
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug.kubelet.target import target_of
from nodeplug.testing import Kubelet, Profile, Refusal
from nodeplug.testing.patience import in_time

T = TypeVar("T")

CALL_SECONDS = 10.0
# What a plugin that did not say it itself is taken to serve.
ATTACHED = "conformance.nodeplug.io/attached"
_SETTLE_SECONDS = 3.0
_LOOK_SECONDS = 0.02
OPTIONS = [
    ("grpc.default_authority", "localhost"),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
]


class Stage:
    """One judgement. `plugins` are all that were started; the last is the one that is judged."""

    def __init__(
        self, subject: Subject, folder: Path, kubelet: Kubelet, profile: Profile, places: Places
    ) -> None:
        self.subject = subject
        self.kubelet = kubelet
        self.profile = profile
        self.places = places
        self.patience = subject.patience
        self.plugins: list[PluginProcess] = []
        self._folder = folder

    @property
    def plugin(self) -> PluginProcess | None:
        """The plugin, if this command has started it."""
        return self.plugins[-1] if self.plugins else None

    async def another(self, places: Places | None = None) -> PluginProcess:
        """Start the plugin, or one more of it, perhaps elsewhere."""
        log = self._folder / "plugin.log"
        plugin = PluginProcess(self.subject.command, places or self.places, log)
        self.plugins.append(plugin)
        await plugin.start()
        return plugin

    async def run(self, command: str) -> None:
        """Run a command of the user's beside the plugin; raise NotJudgedError if it fails."""
        try:
            words = [self.places.fill(word) for word in shlex.split(command)]
            process = await asyncio.create_subprocess_exec(
                *words, stdin=DEVNULL, stdout=DEVNULL, env=environment(self.places)
            )
        except (OSError, ValueError) as error:
            raise NotJudgedError(f"{command}: {error}") from error
        if await process.wait():
            raise NotJudgedError(f"{command}: exit code {process.returncode}")

    @property
    def resources(self) -> list[str]:
        """What the plugin has registered, each once."""
        names = [event.resource for event in self.kubelet.journal.of("register")]
        return list(dict.fromkeys(names))

    def registered(self, resource: str) -> int:
        """Return how often a resource has been registered with success."""
        return sum(not event.detail for event in self.kubelet.journal.of("register", resource))

    def healthy(self, resource: str) -> list[str]:
        """Return the ids that may be allocated: none of a plugin whose stream has ended."""
        if not self.allocatable(resource):
            return []
        return [i for i, health in self.kubelet.devices(resource).items() if health == "Healthy"]

    def allocatable(self, resource: str) -> int:
        """Return how many devices the scheduler may count on."""
        capacity = self.kubelet.capacity(resource)
        return capacity.allocatable if capacity else 0

    def endpoint(self, resource: str) -> Path:
        """Return the socket that was registered last."""
        request = self.kubelet.journal.of("register", resource)[-1].request
        assert request is not None
        return self.kubelet.directory / request.endpoint

    async def within(self, seconds: float, holds: Callable[[], bool], otherwise: str) -> float:
        """Wait for something and return how long it took; raise Broken if it does not come."""
        started = time.monotonic()
        try:
            await self.kubelet.journal.until(holds, seconds, in_time)
        except TimeoutError as error:
            code = self.plugin.code if self.plugin else None
            ended = f"; the plugin has ended with code {code}" if code is not None else ""
            raise Broken(f"{otherwise} within {seconds:g} s{ended}") from error
        return time.monotonic() - started

    async def settled(self) -> None:
        """Wait a while for devices that may be allocated; a plugin need not have any."""
        with suppress(TimeoutError):
            await self.kubelet.journal.until(
                self._any_healthy, _SETTLE_SECONDS if self.resources else 0, in_time
            )

    def _any_healthy(self) -> bool:
        return any(self.healthy(resource) for resource in self.resources)

    async def listed(self) -> None:
        """Wait until every resource that was registered has a list."""
        await self.within(self.patience, self._all_listed, "there is no list")

    def _all_listed(self) -> bool:
        names = self.resources
        return bool(names) and all(self.kubelet.journal.of("list", name) for name in names)

    @asynccontextmanager
    async def calling(
        self, resource: str
    ) -> AsyncGenerator["api_grpc.DevicePluginAsyncStub", None]:
        """Connect to the plugin as another client beside the kubelet."""
        target = target_of(self.endpoint(resource))
        async with grpc.aio.insecure_channel(target, options=OPTIONS) as channel:
            yield api_grpc.DevicePluginStub(channel)

    async def allocate(self, resource: str, *containers: list[str]) -> api.AllocateResponse:
        """Ask for devices; raise AioRpcError, or Broken when there is no answer."""
        requests = [api.ContainerAllocateRequest(devices_ids=ids) for ids in containers]
        async with self.calling(resource) as stub:
            request = api.AllocateRequest(container_requests=requests)
            return await answer(stub.Allocate(request), "Allocate")


async def answer(call: Awaitable[T], name: str, seconds: float = CALL_SECONDS) -> T:
    """Wait for the answer to a call; raise Broken if it does not come in time."""
    try:
        async with in_time(seconds):
            return await call
    except TimeoutError as error:
        raise Broken(f"{name} gives no answer within {seconds:g} s") from error


async def comes(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait for what nobody tells of; return whether it comes in time."""
    with suppress(TimeoutError):
        async with in_time(seconds):
            while not holds():
                await pause(_LOOK_SECONDS)
            return True
    return False


@asynccontextmanager
async def opened(subject: Subject, profile: Profile) -> AsyncGenerator[Stage, None]:
    """Start a kubelet, and the plugin or a connection to it; in the end nothing is left of it."""
    folder = Path(tempfile.mkdtemp(prefix="npq", dir="/tmp"))
    places = Places(folder / "dp", folder / "registry")
    for place in places:
        place.mkdir()
    try:
        kubelet = Kubelet(places.directory, profile=profile, plugin_registry=places.registry)
        async with _quiet(kubelet):
            stage = Stage(subject, folder, kubelet, profile, places)
            try:
                await _begin(stage)
                yield stage
            finally:
                for plugin in stage.plugins:
                    await plugin.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _begin(stage: Stage) -> None:
    if stage.subject.socket is None:
        await stage.another()
    else:
        with suppress(Refusal):  # what comes of it is the first rule's business
            await stage.kubelet.connect(ATTACHED, stage.subject.socket)


@asynccontextmanager
async def _quiet(kubelet: Kubelet) -> AsyncGenerator[Kubelet, None]:
    """Run a kubelet whose violations are judged elsewhere."""
    async with kubelet:
        try:
            yield kubelet
        finally:
            kubelet.journal.violations.clear()


async def pause(seconds: float) -> None:
    """Let time go by in which nothing should happen."""
    await asyncio.sleep(seconds)
