"""What precedes the start of a container whose pod is admitted (R55)."""

from collections.abc import Iterable

from nodeplug.testing.kubelet.clock import Clock
from nodeplug.testing.kubelet.devices import DeviceTables
from nodeplug.testing.kubelet.endpoint import CallError
from nodeplug.testing.kubelet.errors import StartError

# R55: what a plugin has for PreStartContainer.
PRE_START_SECONDS = 30.0


async def announce(
    tables: DeviceTables, pod: str, container: str, resources: Iterable[str], clock: Clock
) -> None:
    """Call PreStartContainer for each resource whose plugin asks for it.

    A plugin whose options are not known (R30) does not. Raises StartError where the container
    must not start now.
    """
    for resource in resources:
        endpoint = tables.endpoints.get(resource)
        if endpoint is None:
            # R28: even if its plugin had nothing to prepare.
            raise StartError(f"endpoint not found in cache for a registered resource: {resource}")
        if not endpoint.options.pre_start_required:
            continue
        have = tables.find(pod, container, resource)
        if have is None:
            raise StartError(
                f"no devices found allocated in local cache for pod {pod}, "
                f"container {container}, resource {resource}"
            )
        try:
            await endpoint.pre_start(have.ids, PRE_START_SECONDS / clock.scale)
        except CallError as error:
            raise StartError(
                f"device plugin PreStartContainer rpc failed with err: {error}"
            ) from error
