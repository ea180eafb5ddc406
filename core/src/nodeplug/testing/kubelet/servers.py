"""The kubelet's gRPC servers."""

from pathlib import Path

import grpc.aio

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug.testing.kubelet.clients import Profile
from nodeplug.testing.kubelet.clock import Clock
from nodeplug.testing.kubelet.devices import DeviceTables
from nodeplug.testing.kubelet.journal import Journal
from nodeplug.testing.kubelet.known_pods import KnownPods
from nodeplug.testing.kubelet.pod_services import add_pod_resources
from nodeplug.testing.kubelet.registry import Registry
from nodeplug.testing.kubelet.sockets import BoundSocket, make_way


class Servers:
    """Each on a socket whose file outlives it."""

    def __init__(self) -> None:
        self._running: list[grpc.aio.Server] = []

    async def serve_registration(self, path: Path, registry: Registry, journal: Journal) -> None:
        """Let plugins register at this path; the journal's "start" precedes its file."""
        server = self._server()
        api_grpc.add_RegistrationServicer_to_server(registry, server)  # type: ignore[arg-type]
        socket = BoundSocket(server, path)
        await server.start()
        journal.note("start", "")
        socket.create()

    async def serve_pod_resources(
        self, path: Path, tables: DeviceTables, pods: KnownPods, clock: Clock, profile: Profile
    ) -> None:
        """Tell at this path which container has which devices."""
        make_way(path)
        server = self._server()
        add_pod_resources(server, tables, pods, clock, profile)
        socket = BoundSocket(server, path)
        await server.start()
        socket.move_in()

    async def stop(self) -> None:
        """Stop all at once, without a farewell."""
        servers, self._running = self._running, []
        for server in servers:
            await server.stop(grace=None)

    def _server(self) -> grpc.aio.Server:
        server = grpc.aio.server()
        self._running.append(server)
        return server
