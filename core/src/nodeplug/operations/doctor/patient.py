"""The node that is examined, and what the operator wants of it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from nodeplug.backend import BackendSpec, Finding
from nodeplug.config.load import Configuration
from nodeplug.config.settings import AgentSettings
from nodeplug.host.root import HostRoot
from nodeplug.offers import Offer, make_offers
from nodeplug.operations.cluster.courier import ACCOUNT
from nodeplug.values.errors import LoadError
from nodeplug.values.inventory import Inventory

problem = partial(Finding, "problem")
warning = partial(Finding, "warning")


class Offered(NamedTuple):
    """An offer, and the backend that it comes from."""

    backend: str
    offer: Offer


class Patient(msgspec.Struct, frozen=True, kw_only=True):
    """A node, its configuration and the backends named.

    `broken` are backends that cannot be loaded; `found` is what was discovered. `process` is the
    folder of the examined process in /proc, `account` its service account.
    """

    specs: Mapping[str, BackendSpec]
    configuration: Configuration
    broken: Sequence[LoadError] = ()
    node_name: str = ""
    process: Path = Path("/proc/self")
    account: Path = ACCOUNT
    found: Mapping[str, Inventory] = {}

    @property
    def agent(self) -> AgentSettings:
        """The agent's settings."""
        return self.configuration.agent

    @property
    def root(self) -> HostRoot:
        """Where the host's file trees are."""
        return HostRoot(Path(self.agent.host.root))

    @property
    def plugin_dir(self) -> Path:
        """The kubelet's device plugin directory."""
        return Path(self.agent.kubelet.device_plugin_dir)

    @property
    def pod_resources(self) -> Path:
        """The kubelet's pod resources socket."""
        return Path(self.agent.kubelet.pod_resources_socket)

    def settings(self) -> Iterator[tuple[BackendSpec, Any]]:
        """Yield each backend with what is right of its section, if that is anything."""
        for name, settings in self.configuration.usable.items():
            yield self.specs[name], settings

    def offers(self) -> dict[str, Offered]:
        """Return what would be served, by public name."""
        return {
            resource: Offered(name, offer)
            for name, inventory in self.found.items()
            for resource, offer in make_offers(inventory, self.agent.offers).items()
        }
