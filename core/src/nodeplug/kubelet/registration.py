"""Keeping one resource registered with whichever kubelet is there."""

import asyncio
import logging
import os

import grpc.aio

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.lock import ResourceLock
from nodeplug.kubelet.method import method
from nodeplug.kubelet.server import DevicePluginServer
from nodeplug.kubelet.sockets import KUBELET_SOCKET
from nodeplug.kubelet.target import target_of
from nodeplug.kubelet.vigil import Vigil
from nodeplug.kubelet.watch import Identity, KubeletWatch
from nodeplug.meters.catalogue import REGISTRATIONS

VERSION = "v1beta1"
# R18: above the 10 s that the kubelet takes to dial us.
REGISTER_SECONDS = 20.0
# R8: kubelet.sock is bound an instant before it listens.
_REGISTER = "/v1beta1.Registration/Register"
_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 5.0
# R13: these texts mean that no retry can help.
_PERMANENT = ("not supported by kubelet", "is invalid")

_log = logging.getLogger("nodeplug.kubelet")


class Registration:
    """Registers the resource with each kubelet that appears, and again when its stream is lost.

    `registered` and `error` tell the present state; `error` is the last refusal or empty.
    """

    def __init__(
        self, resource: str, server: DevicePluginServer, lock: ResourceLock, watch: KubeletWatch
    ) -> None:
        self.registered = False
        self.error = ""
        self._resource = resource
        self._server = server
        self._lock = lock
        self._watch = watch
        self._vigil = Vigil(resource, server, lock, watch)
        self._accepted: Identity | None = None
        self._target = target_of(server.directory.plugin_dir / KUBELET_SOCKET)

    async def run(self) -> None:
        """Stay registered until cancelled.

        Raise ResourceLostError when another instance has taken the resource over.
        """
        with self._vigil:
            while True:
                await self._serve_one_kubelet(await self._watch.present())

    async def _serve_one_kubelet(self, identity: Identity) -> None:
        session = asyncio.create_task(self._session(identity))
        gone = asyncio.create_task(self._watch.gone(identity))
        try:
            await asyncio.wait({session, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.registered = False
            session.cancel()
            gone.cancel()
            await asyncio.gather(session, gone, return_exceptions=True)
        if not session.cancelled():
            session.result()

    async def _session(self, identity: Identity) -> None:
        # R9: a socket file that was away for an instant is no other kubelet.
        if identity != self._accepted or not self._server.service.streams:
            await self._register_until_accepted()
        while True:
            self._accepted, self.registered = identity, True
            self._vigil.expect_stream()
            await self._vigil.trouble()
            self._accepted, self.registered = None, False
            await self._register_until_accepted()

    async def _register_until_accepted(self) -> None:
        pause = _FIRST_PAUSE
        while not await self._register():
            if _is_permanent(self.error):
                await asyncio.Event().wait()
            await asyncio.sleep(pause * (1 + os.urandom(1)[0] / 256) / 2)  # jitter
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _register(self) -> bool:
        error = ""
        try:
            await self._call(await self._request())
            self._watch.heard("")
        except grpc.aio.AioRpcError as raised:
            error = raised.details() or raised.code().name
            absent = raised.code() is grpc.StatusCode.UNAVAILABLE
            self._watch.heard(error if absent else "")
            if absent:
                self.error = ""
                return False
        except TimeoutError:
            error = "the disk of the kubelet's directory does not answer"
        REGISTRATIONS.add(self._resource, "failed" if error else "accepted")
        if error and error != self.error:
            facts = {"resource": self._resource, "error": error}
            level = logging.ERROR if _is_permanent(error) else logging.WARNING
            _log.log(level, "registration failed", extra={"nodeplug": facts})
        if not error:
            _log.info("registered", extra={"nodeplug": {"resource": self._resource}})
        self.error = error
        return not error

    async def _request(self) -> api.RegisterRequest:
        # R11: a socket that is gone would cost the kubelet 10 s and us the resource (R16).
        await self._vigil.sound()
        endpoint = await self._server.new_endpoint()
        await self._lock.announce(endpoint)
        return api.RegisterRequest(
            version=VERSION,
            endpoint=endpoint,
            resource_name=self._resource,
            options=self._server.service.options(),
        )

    async def _call(self, request: api.RegisterRequest) -> None:
        options = [("grpc.default_authority", "localhost"), ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(self._target, options=options) as channel:
            register = method(channel, _REGISTER, api.RegisterRequest, api.Empty.FromString)
            await register(request, timeout=REGISTER_SECONDS)


def _is_permanent(error: str) -> bool:
    return any(text in error for text in _PERMANENT)
