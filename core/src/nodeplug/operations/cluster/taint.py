"""Taking a taint from the node once all is served."""

import logging

from nodeplug.operations.cluster import calls
from nodeplug.operations.cluster.courier import Courier, check
from nodeplug.operations.probes import Probes
from nodeplug.operations.view import View

_log = logging.getLogger("nodeplug.cluster")


class TaintTeller:
    """Removes a taint of this key, once: what comes back later is somebody else's."""

    about = "taint"

    def __init__(self, key: str, node: str, view: View, probes: Probes, courier: Courier) -> None:
        self._key = key
        self._node = node
        self._view = view
        self._probes = probes
        self._courier = courier
        self._tainted = True

    async def tell(self) -> None:
        """Remove it if it is time. Raise ClusterError."""
        if not self._tainted or not self._view.agent().resources:
            return
        if not any(each.blocks for each in await self._probes.troubles()):
            await self._remove()
            self._tainted = False

    async def _remove(self) -> None:
        [found] = replies = await self._courier.send([calls.get_node(self._node)])
        check(replies)
        call = calls.without_taint(self._node, self._key, found.body)
        if call is not None:
            check(await self._courier.send([call]))
            _log.info("taint removed from the node", extra={"nodeplug": {"taint": self._key}})
