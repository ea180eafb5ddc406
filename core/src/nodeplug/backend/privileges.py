"""What a process needs on the host, by feature. The charts grant this and nothing else."""

from collections.abc import Sequence

import msgspec


class HostMount(msgspec.Struct, frozen=True):
    """A path of the host that must be seen at the same path in the process's container.

    `propagation` says that mounts made on the host later are seen too.
    """

    path: str
    read_only: bool = True
    propagation: bool = False


class ClusterRight(msgspec.Struct, frozen=True):
    """What the process's service account may do with a kind of object: one line of a role.

    In one namespace, if that is given; else in all, and with what is in none.
    """

    resource: str
    verbs: Sequence[str]
    namespace: str = ""


class Privilege(msgspec.Struct, frozen=True, kw_only=True):
    """What one feature needs besides what core needs.

    `setting` is the key, and its value, that switches the feature on, in the form
    `health.open=true`; empty where the backend cannot be without it. `capabilities` are named as
    Kubernetes does, without `CAP_`; `rights` are those at the API server. `reason` says what all
    that is for, in one line.
    """

    feature: str
    reason: str
    setting: str = ""
    mounts: Sequence[HostMount] = ()
    capabilities: Sequence[str] = ()
    privileged: bool = False
    host_network: bool = False
    rights: Sequence[ClusterRight] = ()
