"""Keeping one resource registered by a socket that the kubelet finds in its plugin registry."""

from nodeplug.kubelet.introduction import Introduction
from nodeplug.kubelet.lock import ResourceLock
from nodeplug.kubelet.server import DevicePluginServer
from nodeplug.kubelet.vigil import WATCHDOG_SECONDS, Vigil
from nodeplug.kubelet.watch import KubeletWatch
from nodeplug.values.errors import KubeletDirectoryError

# R73: a kubelet that fails with a socket tries it later and later, a new one at once.
_LONGEST_PAUSE = 30.0


class WatchedRegistration:
    """Shows the socket to each kubelet that comes, and under a new name when its stream is lost.

    A kubelet that restarts finds the socket by itself (R80). `registered` and `error` tell the
    present state; `error` is the last refusal or empty.
    """

    def __init__(
        self,
        resource: str,
        server: DevicePluginServer,
        introduction: Introduction,
        lock: ResourceLock,
        watch: KubeletWatch,
    ) -> None:
        self._server = server
        self._introduction = introduction
        self._lock = lock
        self._vigil = Vigil(resource, server, lock, watch)
        introduction.when_accepted = self._vigil.expect_stream

    @property
    def registered(self) -> bool:
        """Whether a kubelet has accepted the resource and follows its list."""
        return self._introduction.accepted and self._server.service.streams > 0

    @property
    def error(self) -> str:
        """Why the kubelet refused the last socket, or empty."""
        return self._introduction.error

    async def run(self) -> None:
        """Stay registered until cancelled.

        Raise ResourceLostError when another instance has taken the resource over.
        """
        pause = WATCHDOG_SECONDS
        with self._vigil:
            while True:
                await self._show(pause)
                await self._vigil.trouble()
                known = self._introduction.accepted
                pause = WATCHDOG_SECONDS if known else min(2 * pause, _LONGEST_PAUSE)

    async def _show(self, pause: float) -> None:
        await self._vigil.sound()
        self._introduction.accepted = False
        self._vigil.expect_stream(pause)
        await self._server.new_endpoint()
        if self._server.path.name.startswith("."):
            # R72: the kubelet overlooks the name that it is bound to.
            raise KubeletDirectoryError(
                f"{self._server.directory.plugin_dir}: its file system has no hard links; "
                "set kubelet.registration: socket"
            )
        await self._lock.announce(str(self._server.path))
