"""The rules that are judged: what each asks for, and what breaking it leads to."""

from typing import Literal, NamedTuple

Level = Literal["MUST", "SHOULD"]


class Rule(NamedTuple):
    """A rule by its number in docs/kubelet-contract.md.

    `kubelet` is what the kubelet does when it is broken, `user` what somebody sees of that.
    """

    number: str
    level: Level
    claim: str
    kubelet: str
    user: str


_RULES = (
    Rule(
        "C1",
        "MUST",
        "the server answers before it is registered",
        "it dials the endpoint for 10 s within Register, then refuses the plugin",
        "the resource never appears on the node",
    ),
    Rule(
        "C2",
        "MUST",
        "after a kubelet restart it is registered again within a second",
        "it has forgotten the plugin and waits for it",
        "pods that need the device are refused until it is back",
    ),
    Rule(
        "C3",
        "SHOULD",
        "old news of the same kubelet does not make it register again",
        "it takes the list anew, and the old stream's end may take the new one along",
        "the resource drops to zero for a moment, for nothing",
    ),
    Rule(
        "C4",
        "MUST",
        "it waits through a missing kubelet",
        "nothing; it is not there",
        "the plugin's pod is in CrashLoopBackOff, and minutes late when the kubelet is back",
    ),
    Rule(
        "C5",
        "SHOULD",
        "its own socket, removed by somebody, is put back or registered anew",
        "it cannot dial the plugin again",
        "at the next kubelet event the resource drops to zero",
    ),
    Rule(
        "C6",
        "MUST",
        "a lost stream is replaced within 5 s",
        "it marks all devices Unhealthy and forgets them after 5 minutes",
        "allocatable is zero although plugin and kubelet are well",
    ),
    Rule(
        "C7",
        "SHOULD",
        "after a second instance has come and the first has gone, devices are back within 5 s",
        "up to 1.36 it drops the newest registration when an older stream ends",
        "the resource stays at zero after a rolling update with maxSurge",
    ),
    Rule(
        "C8",
        "MUST",
        "a registration that is refused is tried again until it is accepted",
        "after a refusal it may keep a ghost of the plugin that was there before",
        "the node shows devices that no pod can get, until somebody restarts the plugin",
    ),
    Rule(
        "C9",
        "SHOULD",
        "two streams at a time both get the list",
        "in a rolling restart it may have two streams for a moment",
        "the resource stays at zero after an upgrade",
    ),
    Rule(
        "C10",
        "MUST",
        "the first list is complete and comes at once",
        "it shows the first list to the scheduler at once",
        "capacity drops to zero for a moment; pods are refused at admission",
    ),
    Rule(
        "C11",
        "MUST",
        "ids and health are valid, topology is never empty or negative",
        "it takes any text for Unhealthy, and NUMA node -1 breaks alignment",
        "devices cannot be allocated, or pods are rejected by the Topology Manager",
    ),
    Rule(
        "C12",
        "MUST",
        "a device that a container has stays in the list, Unhealthy, when it is lost",
        "it crashes when an id that it has given away is not in the list",
        "the node is NotReady, in a loop if the pod is still there",
    ),
    Rule(
        "C13",
        "MUST",
        "no list is above 4 MiB",
        "it ends the stream at a larger message, and does not come back",
        "the resource drops to zero and stays there",
    ),
    Rule(
        "C14",
        "MUST",
        "Allocate can be repeated, answers n with n, refuses unknown ids and ends in time",
        "it admits no other pod while the call runs, and crashes or hands out nothing otherwise",
        "pods hang in Pending, or start without their device",
    ),
    Rule(
        "C15",
        "MUST",
        "a preference has the size asked for, holds what must be in it, names what is available",
        "it refuses the pod on an error, and ignores a wrong preference",
        "pods fail with UnexpectedAdmissionError, or get devices far from each other",
    ),
    Rule(
        "C16",
        "MUST",
        "PreStartContainer can be repeated and ends in time",
        "it kills the start after 30 s, and calls again at every restart",
        "containers cannot restart",
    ),
    Rule(
        "C17",
        "MUST",
        "the options are the same in both places",
        "it takes those of GetDevicePluginOptions or of Register, by version",
        "PreStartContainer or preferences work on one Kubernetes version and not on the next",
    ),
    Rule(
        "C18",
        "SHOULD",
        "nothing is sent twice",
        "it writes its checkpoint at every list",
        "needless load on every node's disk",
    ),
    Rule(
        "C19",
        "SHOULD",
        "SIGTERM ends it in time and removes no file but its own",
        "it keeps the last list of a plugin that does not end",
        "the pod is killed after its grace period; another plugin's socket may be gone",
    ),
    Rule(
        "C20",
        "SHOULD",
        "a directory whose sockets have too long a path is refused at the start",
        "it cannot dial more than 107 bytes",
        "the plugin runs, and the resource never appears",
    ),
    Rule(
        "C21",
        "MUST",
        "answers are the same after a restart of the plugin",
        "it replays the stored answer for the pod's life and asks anew after lost state",
        "a container gets another device's variables than its devices",
    ),
    Rule(
        "C22",
        "MUST",
        "requests with very many ids are taken",
        "it sends all available ids, without any limit",
        "pods fail on nodes with many devices",
    ),
    Rule(
        "C23",
        "MUST",
        "found in the plugin registry, it says who it is in time and takes every report",
        "it waits a second for an answer, and undoes what it cannot report",
        "the resource comes and goes",
    ),
)
RULES = {rule.number: rule for rule in _RULES}
