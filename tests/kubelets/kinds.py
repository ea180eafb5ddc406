"""The kubelets that a test may run on: our embedded one, and the real one of each version."""

from dataclasses import dataclass
from pathlib import Path

from kubelets.real import RealKubelet
from kubelets.versions import VERSIONS, why_not
from nodeplug.testing import Kubelet, Profile, Topology
from support.needs import require

AnyKubelet = Kubelet | RealKubelet


@dataclass(frozen=True, slots=True)
class Kind:
    """One of them: an embedded kubelet of a profile, or the real one of a version."""

    profile: Profile = Profile.V1_36
    version: str = ""

    def __str__(self) -> str:
        return f"real {self.version}" if self.version else f"embedded {self.profile.value}"

    @property
    def tells_apart(self) -> bool:
        """Whether two plugins of one resource are told apart by their sockets (R15)."""
        return Profile(self.version or self.profile.value).since(Profile.V1_37)

    def make(
        self,
        directory: Path,
        *,
        pod_resources: Path | None = None,
        plugin_registry: Path | None = None,
        topology: Topology | None = None,
    ) -> AnyKubelet:
        """Return a kubelet that is not started; skip the test where it cannot be."""
        if not self.version:
            return Kubelet(
                directory,
                profile=self.profile,
                pod_resources=pod_resources,
                plugin_registry=plugin_registry,
                topology=topology,
            )
        missing = why_not(self.version)
        require(not missing, missing)
        return RealKubelet(
            directory,
            version=self.version,
            pod_resources=pod_resources,
            plugin_registry=plugin_registry,
            topology=topology,
        )


DEFAULT = Kind()
EMBEDDED = tuple(Kind(profile=profile) for profile in (Profile.OLDEST, Profile.NEWEST))
REAL = tuple(Kind(version=version) for version in VERSIONS)
ALL = (*EMBEDDED, *REAL)
