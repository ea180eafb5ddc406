"""The main job on a real cluster: installed by Helm, seen through the API alone.

The order matters: the release is installed before the first test and uninstalled by the last.
"""

from collections.abc import Callable

import pytest

from e2e import objects
from e2e.latency import alternated, percentiles, starts
from e2e.objects import ADDED, FILES, NAMES, NODES, SHARED, TAINT
from e2e.stage import RELEASE, STANDARD, Stage, has, in_phase, taints
from e2e.watch import Object, WatchError

pytestmark = pytest.mark.timeout(900)

# What a container got: the hosts' paths by environment, and each node that it can open.
TELL = 'say "$E2E_NODES"; for f in /dev/e2e/*; do (: <"$f") && say "$f"; done'
ALL = ["full", "null", "zero"]


def got(words: list[str]) -> list[str]:
    """Return the names of the nodes that a container told of; both ways must agree."""
    told, *opened = words
    names = sorted(path.rpartition("/")[2] for path in opened)
    assert sorted(path.rpartition("/")[2] for path in told.split(",")) == names
    return names


def test_agents_are_ready_and_the_node_has_the_devices(installed: Stage) -> None:
    """In capacity as well as in what is allocatable."""
    node = installed.cluster.get("node", installed.node)
    for resource, count in {NODES: 3, FILES: 2, SHARED: objects.REPLICAS}.items():
        assert has("capacity", resource, count)(node)


def test_a_container_gets_one_device(installed: Stage) -> None:
    """Its node, which it can open, and its environment."""
    installed.start("one", TELL, {NODES: 1})
    (words,) = installed.said("one")
    assert len(got(words)) == 1


def test_a_container_gets_several_devices(installed: Stage) -> None:
    """All that there are."""
    installed.start("several", TELL, {NODES: 3})
    (words,) = installed.said("several")
    assert got(words) == ALL


def test_containers_of_one_pod_get_devices_of_their_own(installed: Stage) -> None:
    """None twice."""
    installed.start("containers", TELL, {NODES: 1}, {NODES: 2})
    first, second = map(got, installed.said("containers"))
    assert (len(first), sorted(first + second)) == (1, ALL)


def test_helm_test_passes(installed: Stage) -> None:
    """The chart's own pods."""
    installed.cluster.test(RELEASE)


def test_a_lost_device_leaves_what_is_allocatable_and_comes_back(installed: Stage) -> None:
    """The container that has it runs on."""
    installed.hold("holder", {FILES: 2})
    try:
        installed.touch(f"rm /e2e/{NAMES[0]}")
        installed.offers(FILES, 1)
        node = installed.cluster.get("node", installed.node)
        assert has("capacity", FILES, 2)(node)
    finally:
        installed.touch(f"touch /e2e/{NAMES[0]}")
    installed.offers(FILES, 2)
    assert in_phase("Running")(installed.cluster.get("pod", "holder"))


def test_a_pod_shows_the_health_of_its_devices(installed: Stage) -> None:
    """Where the cluster has that feature (ResourceHealthStatus)."""
    installed.hold("holder", {FILES: 2})
    try:
        installed.cluster.until(lambda pod: bool(health(pod)), "pod", "holder", seconds=20)
    except WatchError:
        pytest.skip("the cluster does not have the feature ResourceHealthStatus")
    try:
        installed.touch(f"rm /e2e/{NAMES[0]}")
        installed.cluster.until(
            lambda pod: health(pod) == ["Healthy", "Unhealthy"], "pod", "holder", seconds=120
        )
    finally:
        installed.touch(f"touch /e2e/{NAMES[0]}")
    installed.cluster.until(
        lambda pod: health(pod) == ["Healthy", "Healthy"], "pod", "holder", seconds=120
    )


def health(pod: Object) -> list[str]:
    return sorted(
        device["health"]
        for status in pod["status"]["containerStatuses"]
        for resource in status.get("allocatedResourcesStatus", [])
        for device in resource["resources"]
    )


def test_a_killed_agent_comes_back_and_nobody_notices(installed: Stage) -> None:
    """Deleted by force: its successor serves the same devices."""
    installed.hold("holder", {NODES: 1})
    before = installed.agent()["metadata"]
    installed.cluster.delete("pod", before["name"], "--grace-period=0", "--force")
    installed.successor(before["uid"])
    installed.offers(NODES, 3)
    installed.start("after", TELL, {NODES: 2})
    assert len(got(installed.said("after")[0])) == 2
    assert in_phase("Running")(installed.cluster.get("pod", "holder"))


def test_without_an_agent_no_pod_gets_a_device(installed: Stage) -> None:
    """It waits or is refused, and the next one gets what it asks for once the agent is back."""
    installed.install(away=True)
    installed.start("without", TELL, {NODES: 1})
    pod = installed.cluster.until(is_denied, "pod", "without", seconds=120)
    installed.install()
    installed.offers(NODES, 3)
    if pod["status"]["phase"] == "Failed":
        installed.start("again", TELL, {NODES: 1})
    name = "again" if pod["status"]["phase"] == "Failed" else "without"
    assert len(got(installed.said(name)[0])) == 1


def is_denied(pod: Object) -> bool:
    """Tell whether the scheduler has found no node, or the kubelet has refused the pod."""
    status = pod["status"]
    waits = {"PodScheduled": ("False", "Unschedulable")}
    found = {each["type"]: (each["status"], each.get("reason")) for each in conditions(pod)}
    refused = status.get("phase") == "Failed" and status.get("reason") == "UnexpectedAdmissionError"
    return refused or waits.items() <= found.items()


def conditions(pod: Object) -> list[Object]:
    found: list[Object] = pod["status"].get("conditions", [])
    return found


def test_a_new_configuration_is_taken_over_without_a_restart(installed: Stage) -> None:
    """The kubelet hands the ConfigMap to the pod within two minutes, the agent reads it at once."""
    before = installed.agent()
    added = {"name": ADDED, "devices": [{"path": "/dev/random"}]}
    installed.install(objects.configuration(added))
    installed.offers(ADDED, 1, seconds=240)
    after = installed.agent()
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


def test_an_upgrade_replaces_agents_under_running_containers(installed: Stage) -> None:
    """Settings that are read once roll the DaemonSet; containers and devices stay."""
    installed.hold("holder", {NODES: 1})
    before = installed.agent()["metadata"]["uid"]
    installed.install(objects.configuration() | {"metrics": {"port": 19844}})
    assert installed.agent()["metadata"]["uid"] != before
    installed.offers(NODES, 3)
    installed.start("after", TELL, {NODES: 2})
    assert len(got(installed.said("after")[0])) == 2
    assert in_phase("Running")(installed.cluster.get("pod", "holder"))


def test_a_start_up_taint_is_tolerated_and_taken_away(installed: Stage) -> None:
    """By an agent that tolerates besides only what is on the node anyway."""
    cluster, node = installed.cluster, installed.node
    others = [{"key": key, "operator": "Exists"} for key in taints(cluster.get("node", node))]
    cluster.taint(node, TAINT)
    try:
        config = STANDARD | {"cluster": {"removeTaint": TAINT}}
        installed.install(config, tolerations=others)
        cluster.until(lambda found: TAINT not in taints(found), "node", node, seconds=120)
    finally:
        cluster.untaint(node, TAINT)


def test_many_pods_start_with_devices(
    installed: Stage, figure: Callable[[str, object], None]
) -> None:
    """As soon as pods without; how soon that is shows how much of it is ours.

    Which of the two comes first changes from round to round: the node warms up.
    """
    kinds: dict[str, dict[str, int]] = {"without a device": {}, "with a device": {SHARED: 1}}
    found: dict[str, dict[str, float]] = {kind: {} for kind in kinds}
    for number in range(installed.given.rounds):
        for kind in alternated([*kinds], number):
            times = measured(installed, kinds[kind])
            found[kind] |= {f"{name} of {number}": seconds for name, seconds in times.items()}
    for kind, times in found.items():
        figure(f"start of pods {kind}, seconds", percentiles(times))


def measured(stage: Stage, limits: dict[str, int]) -> dict[str, float]:
    """Start all pods at once; return the seconds that each took."""
    count = stage.given.pods
    pods = [objects.pod(stage.given, f"many-{n}", stage.host, ":", limits) for n in range(count)]
    stage.hold("marker")
    with stage.cluster.watch("pods", "--selector", "nodeplug-e2e=workload") as watch:
        seen = watch.seen(300)
        next(seen)  # from now on nothing is missed
        stage.cluster.apply(*pods)
        found = starts((each for each in seen if is_many(each.object)), count)
    stage.cluster.delete("pods", "--selector", "nodeplug-e2e=workload")
    return found


def is_many(pod: Object) -> bool:
    name: str = pod["metadata"]["name"]
    return name.startswith("many-")


def test_nothing_is_left_after_uninstall(installed: Stage) -> None:
    """No object of the release, and no device for pods; a running container keeps its own."""
    installed.hold("holder", {NODES: 1})
    installed.cluster.uninstall(RELEASE)
    installed.offers(NODES, 0)
    assert in_phase("Running")(installed.cluster.get("pod", "holder"))
    kinds = "daemonsets,configmaps,serviceaccounts,clusterroles,clusterrolebindings"
    selector = f"app.kubernetes.io/instance={RELEASE}"
    assert installed.cluster.get(kinds, "--selector", selector)["items"] == []
