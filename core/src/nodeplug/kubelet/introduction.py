"""The Registration service: what a socket in the plugin registry says of itself."""

import logging
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from nodeplug.kubelet.api import pluginregistration_v1_pb2 as api
from nodeplug.kubelet.registration import VERSION
from nodeplug.meters.catalogue import REGISTRATIONS

# R74.
_TYPE = "DevicePlugin"

_log = logging.getLogger("nodeplug.kubelet")

Context = grpc.aio.ServicerContext[Any, Any]


class Introduction:
    """Tells the kubelet what is served here, and keeps its verdict.

    `accepted` and `error` are the last verdict; `error` is empty until one is bad.
    `when_accepted` is called with each that is good.
    """

    when_accepted: Callable[[], None]

    def __init__(self, resource: str) -> None:
        self.accepted = False
        self.error = ""
        self._resource = resource
        # R74: an empty endpoint is this very socket.
        self._info = api.PluginInfo(type=_TYPE, name=resource, supported_versions=[VERSION])

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return the service as gRPC wants it."""
        unary = grpc.unary_unary_rpc_method_handler
        table: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "GetInfo": unary(
                self._get_info, api.InfoRequest.FromString, api.PluginInfo.SerializeToString
            ),
            "NotifyRegistrationStatus": unary(
                self._notify,
                api.RegistrationStatus.FromString,
                api.RegistrationStatusResponse.SerializeToString,
            ),
        }
        return grpc.method_handlers_generic_handler("pluginregistration.Registration", table)

    async def _get_info(self, _: api.InfoRequest, __: Context) -> api.PluginInfo:
        return self._info

    async def _notify(
        self, status: api.RegistrationStatus, _: Context
    ) -> api.RegistrationStatusResponse:
        # R75: an error here would undo the registration.
        self.accepted = status.plugin_registered
        self.error = "" if status.plugin_registered else status.error or "refused without a reason"
        self._report()
        if self.accepted:
            self.when_accepted()
        return api.RegistrationStatusResponse()

    def _report(self) -> None:
        facts = {"resource": self._resource}
        if self.error:
            _log.warning("registration failed", extra={"nodeplug": facts | {"error": self.error}})
        else:
            _log.info("registered", extra={"nodeplug": facts})
        REGISTRATIONS.add(self._resource, "failed" if self.error else "accepted")
