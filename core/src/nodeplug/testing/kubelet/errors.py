"""Why a pod fails, or a container waits."""


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    """Why a registration is not accepted."""


class AdmissionError(Exception):
    """The pod fails; the text is the kubelet's (R42, R44).

    `reason` and `message` are what the pod's status says.
    """

    reason = "UnexpectedAdmissionError"

    @property
    def message(self) -> str:
        """The text in the pod's status."""
        return f"Allocate failed due to {self}, which is unexpected"


class AffinityError(AdmissionError):
    """No set of NUMA nodes satisfies the policy."""

    reason = "TopologyAffinityError"

    @property
    def message(self) -> str:
        """The text in the pod's status."""
        return str(self)


class StartError(AdmissionError):
    """An admitted pod's container cannot start now; the kubelet tries again (R55)."""

    reason = "CreateContainerConfigError"

    @property
    def message(self) -> str:
        """The text in the container's status."""
        return str(self)
