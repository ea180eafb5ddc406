"""A plugin that a kubelet finds in its plugin registry, on either side of a twin."""

import asyncio
from dataclasses import dataclass
from typing import Any

import grpc.aio

from kubelets.walk.plugin import ListedDevice, Manners, WalkPlugin
from kubelets.walk.side import Side
from nodeplug.kubelet.api import pluginregistration_v1_pb2 as api
from nodeplug.kubelet.api import pluginregistration_v1_pb2_grpc as api_grpc
from nodeplug.testing.patience import patience

FINE = Manners()


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a plugin says of itself."""

    name: str
    kind: str = "DevicePlugin"
    versions: tuple[str, ...] = ("v1beta1",)


class WatchedPlugin(WalkPlugin, api_grpc.RegistrationServicer):
    """Serves and introduces itself at one socket, which is shown as the last thing."""

    def __init__(self, socket: str, introduction: Introduction, side: Side) -> None:
        super().__init__(socket, introduction.name, side.registry, side.calls)
        self.told: asyncio.Queue[str] = asyncio.Queue()
        self._introduction = introduction
        self._path = side.registry / socket

    async def show(self) -> None:
        self._server = server = grpc.aio.server()
        self.add_to(server)
        api_grpc.add_RegistrationServicer_to_server(self, server)
        hidden = self._path.with_name(f".{self._path.name}")
        server.add_insecure_port(f"unix:{hidden}")
        await server.start()
        hidden.rename(self._path)

    def hide(self) -> None:
        self._path.unlink()

    async def GetInfo(self, _: api.InfoRequest, _context: Any) -> api.PluginInfo:  # noqa: N802
        said = self._introduction
        return api.PluginInfo(type=said.kind, name=said.name, supported_versions=said.versions)

    async def NotifyRegistrationStatus(  # noqa: N802
        self, status: api.RegistrationStatus, _context: Any
    ) -> api.RegistrationStatusResponse:
        self.told.put_nowait(status.error if not status.plugin_registered else "registered")
        return api.RegistrationStatusResponse()


@dataclass(frozen=True, slots=True)
class Show:
    """A plugin's socket appears, and the kubelet says what came of it.

    If that is nothing, the socket goes at once: when it is tried again is a matter of time.
    """

    socket: str
    introduction: Introduction
    manners: Manners = FINE
    devices: tuple[ListedDevice, ...] = (ListedDevice("a"), ListedDevice("b", "Unhealthy"))

    async def play(self, side: Side) -> str:
        plugin = WatchedPlugin(self.socket, self.introduction, side)
        plugin.manners, plugin.devices = self.manners, self.devices
        side.plugins[self.socket] = plugin
        arrived = side.lists + 1
        await plugin.show()
        async with patience(20):
            told = await plugin.told.get()
        if told == "registered":
            await side.until_lists(arrived)
        else:
            plugin.hide()
        return told


@dataclass(frozen=True, slots=True)
class Hide:
    """A plugin's socket goes; `streams` of all plugins end with it."""

    socket: str
    streams: int = 1

    async def play(self, side: Side) -> None:
        plugin, before = side.plugins[self.socket], side.count("stream end")
        assert isinstance(plugin, WatchedPlugin)
        plugin.hide()
        await side.kubelet.until(lambda: side.count("stream end") >= before + self.streams, 20)


@dataclass(frozen=True, slots=True)
class FindAgain:
    """A kubelet starts anew and finds the socket that it knew before."""

    socket: str

    async def play(self, side: Side) -> str:
        plugin = side.plugins[self.socket]
        assert isinstance(plugin, WatchedPlugin)
        await side.kubelet.stop()
        async with patience(10):
            await plugin.idle.wait()
        arrived = side.lists + 1
        await side.kubelet.start()
        async with patience(20):
            told = await plugin.told.get()
        await side.until_lists(arrived)
        return told
