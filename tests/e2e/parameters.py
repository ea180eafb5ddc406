"""What the suite is told about the cluster, by environment variables."""

from collections.abc import Mapping
from typing import NamedTuple

from nodeplug._version import __version__

_PREFIX = "NODEPLUG_E2E_"


class Parameters(NamedTuple):
    """How images are called, and where and how pods run."""

    image_prefix: str
    tag: str
    workload_image: str
    namespace: str
    pull_policy: str
    host_network: bool
    pods: int
    rounds: int
    node: str

    def repository(self, target: str) -> str:
        """Return the name of one of our images: the prefix may end in a separator of its own."""
        separator = "" if self.image_prefix.endswith(("/", "-", "_", ":")) else "/"
        return f"{self.image_prefix}{separator}{target}"


def from_environment(environment: Mapping[str, str]) -> Parameters:
    """Return the parameters; what is not given has a default."""

    def given(name: str, default: str) -> str:
        return environment.get(_PREFIX + name) or default

    prefix, tag = given("IMAGE_PREFIX", "nodeplug"), given("TAG", __version__)
    parameters = Parameters(
        image_prefix=prefix,
        tag=tag,
        workload_image=given("WORKLOAD_IMAGE", ""),
        namespace=given("NAMESPACE", "nodeplug-e2e"),
        pull_policy=given("PULL_POLICY", "IfNotPresent"),
        host_network=given("HOST_NETWORK", "0").lower() in {"1", "true", "yes"},
        pods=int(given("PODS", "20")),
        rounds=int(given("ROUNDS", "3")),
        node=given("NODE", ""),
    )
    # Our own image is on the node in any case; its usual base has a shell.
    own = f"{parameters.repository('custom')}:{tag}"
    return parameters._replace(workload_image=parameters.workload_image or own)
