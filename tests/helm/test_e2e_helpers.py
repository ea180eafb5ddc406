"""The end-to-end suite's own parts, without a cluster."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from e2e import objects
from e2e.cluster import Cluster, CommandError, run
from e2e.conftest import choose
from e2e.latency import alternated, percentiles, starts
from e2e.parameters import Parameters, from_environment
from e2e.stage import STANDARD, has, is_settled
from e2e.watch import Object, Objects, Seen, Watch, WatchError
from nodeplug._version import __version__
from support.charts import UMBRELLA, Charts, only, pod_spec
from support.command import nodeplug

GIVEN = {
    "NODEPLUG_E2E_IMAGE_PREFIX": "images.example/nodeplug",
    "NODEPLUG_E2E_TAG": "dev",
    "NODEPLUG_E2E_WORKLOAD_IMAGE": "shell:1",
    "NODEPLUG_E2E_NAMESPACE": "elsewhere",
    "NODEPLUG_E2E_PULL_POLICY": "Never",
    "NODEPLUG_E2E_HOST_NETWORK": "1",
    "NODEPLUG_E2E_PODS": "5",
    "NODEPLUG_E2E_ROUNDS": "4",
    "NODEPLUG_E2E_NODE": "node-1",
}
FIRST = {"kind": "Pod", "metadata": {"name": "größe"}}
SECOND = {"kind": "Pod", "metadata": {"name": "two", "note": '"}{'}}


def test_every_parameter_is_taken_from_the_environment() -> None:
    """By the names that the page of the suite tells."""
    assert from_environment(GIVEN) == Parameters(
        image_prefix="images.example/nodeplug",
        tag="dev",
        workload_image="shell:1",
        namespace="elsewhere",
        pull_policy="Never",
        host_network=True,
        pods=5,
        rounds=4,
        node="node-1",
    )
    page = (Path(objects.__file__).parent / "README.md").read_text()
    assert [name for name in GIVEN if f"`{name}`" not in page] == []


def test_a_parameter_that_is_not_given_has_a_default() -> None:
    """The image that `make images` builds is enough."""
    parameters = from_environment({"NODEPLUG_E2E_HOST_NETWORK": ""})
    assert parameters.workload_image == f"nodeplug/custom:{__version__}"
    assert not parameters.host_network


@pytest.mark.parametrize("prefix", ["a/b", "a/b/"])
def test_an_image_prefix_is_a_folder(prefix: str) -> None:
    """With or without the slash."""
    assert from_environment({"NODEPLUG_E2E_IMAGE_PREFIX": prefix}).repository("all") == "a/b/all"


def test_an_image_prefix_may_end_in_a_separator_of_its_own() -> None:
    """Some registries have no folders."""
    given = from_environment({"NODEPLUG_E2E_IMAGE_PREFIX": "a/nodeplug-"})
    assert given.repository("all") == "a/nodeplug-all"


def test_objects_are_told_apart_wherever_the_stream_is_cut() -> None:
    """Within a character too."""
    data = f"{json.dumps(FIRST, ensure_ascii=False)}\n{json.dumps(SECOND, indent=1)}\n".encode()
    for cut in range(len(data) + 1):
        found = Objects()
        assert [*found.feed(data[:cut]), *found.feed(data[cut:])] == [FIRST, SECOND]


def test_a_list_is_what_is_in_it() -> None:
    """Some versions print one first."""
    data = json.dumps({"kind": "List", "items": [FIRST, SECOND]}).encode()
    assert list(Objects().feed(data)) == [FIRST, SECOND]


def kubectl(folder: Path, *phases: str, stays: bool) -> str:
    """Return a program that shows a pod in these phases, and then stays or ends with an error."""
    program = folder / "kubectl"
    end = "sys.stdin.read()" if stays else "sys.exit('no such pod')"
    text = [json.dumps({"kind": "Pod", "status": {"phase": phase}}) for phase in phases]
    program.write_text(
        f"#!{sys.executable}\nimport sys, time\n"
        f"for text in {text!r}: print(text, flush=True)\n"
        f"{'time.sleep(60)' if stays else end}\n"
    )
    program.chmod(0o755)
    return str(program)


def is_running(pod: Object) -> bool:
    phase: str = pod["status"]["phase"]
    return phase == "Running"


def test_waiting_ends_with_the_first_object_that_fits(tmp_path: Path) -> None:
    """While kubectl watches on."""
    cluster = Cluster(kubectl(tmp_path, "Pending", "Running", stays=True), "", "x")
    assert is_running(cluster.until(is_running, "pod", "p", seconds=20))


def test_waiting_in_vain_tells_what_was_seen_last(tmp_path: Path) -> None:
    """After the time that was given."""
    cluster = Cluster(kubectl(tmp_path, "Pending", stays=True), "", "x")
    with pytest.raises(WatchError, match=r"pod p: waited 1 s in vain(?s:.)*Pending"):
        cluster.until(is_running, "pod", "p", seconds=1)


def test_a_watch_that_ends_says_why(tmp_path: Path) -> None:
    """In the words of kubectl."""
    with Watch([kubectl(tmp_path, "Pending", stays=False)]) as watch:
        seen = watch.seen(20)
        assert next(seen).object["status"]["phase"] == "Pending"
        with pytest.raises(WatchError, match="no such pod"):
            next(seen)


def test_a_command_that_fails_says_why() -> None:
    """In its own words."""
    with pytest.raises(CommandError, match="sorry"):
        run([sys.executable, "-c", "import sys; sys.exit('sorry')"])


def pod(name: str, phase: str) -> Object:
    return {"metadata": {"name": name}, "status": {"phase": phase}}


def test_the_start_of_a_pod_is_counted_from_its_first_sight() -> None:
    """Whether it was seen running or only when it had ended."""
    begin = time.monotonic()
    seen = [
        Seen(begin, pod("a", "Pending")),
        Seen(begin + 1, pod("b", "Pending")),
        Seen(begin + 2, pod("a", "Running")),
        Seen(begin + 3, pod("a", "Succeeded")),
        Seen(begin + 5, pod("b", "Succeeded")),
    ]
    assert starts(seen, 2) == pytest.approx({"a": 2, "b": 4})
    with pytest.raises(AssertionError, match="1 of 2 pods have started; not: b"):
        starts(seen[:4], 2)


def test_percentiles_are_those_of_the_pods() -> None:
    """In seconds."""
    found = percentiles({str(n): float(n) for n in range(101)})
    assert found == {"p50": 50, "p90": 90, "p99": 99}


def test_each_kind_of_pods_is_measured_first_in_turn() -> None:
    """What comes second finds images and caches warm."""
    assert [alternated(["a", "b"], number) for number in range(3)] == [
        ["a", "b"],
        ["b", "a"],
        ["a", "b"],
    ]


def node(name: str, *, ready: bool = True, **spec: Any) -> Object:
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": {"name": name}, "status": {"conditions": conditions}, "spec": spec}


NODES = [
    node("sick", ready=False),
    node("cordoned", unschedulable=True),
    node("control-plane", taints=[{"key": "x", "effect": "NoSchedule"}]),
    node("worker"),
    node("another"),
]


@pytest.mark.parametrize("count", range(1, len(NODES)))
def test_a_node_that_takes_pods_is_chosen(count: int) -> None:
    """The first ready one without taints; else the best there is."""
    assert choose(NODES[:count])["metadata"]["name"] == NODES[count - 1]["metadata"]["name"]
    assert choose(NODES)["metadata"]["name"] == "worker"


def test_a_node_can_be_named() -> None:
    """And nothing is tested on another one."""
    assert choose(NODES, "another")["metadata"]["name"] == "another"
    with pytest.raises(pytest.exit.Exception, match="there is no node elsewhere"):
        choose(NODES, "elsewhere")


def test_a_daemon_set_is_settled_once_its_newest_pods_are_ready() -> None:
    """The status must be of the newest generation."""
    status = {
        "observedGeneration": 2,
        "desiredNumberScheduled": 1,
        "currentNumberScheduled": 1,
        "updatedNumberScheduled": 1,
        "numberReady": 1,
    }
    found: dict[str, Any] = {"metadata": {"generation": 2}, "status": status}
    assert is_settled(1)(found)
    assert not is_settled(0)(found)
    assert not is_settled(1)(found | {"metadata": {"generation": 3}})
    for field in ("updatedNumberScheduled", "numberReady"):
        assert not is_settled(1)(found | {"status": status | {field: 0}})


def test_a_node_without_a_resource_does_not_have_it_at_zero() -> None:
    """The kubelet tells of zero devices itself."""
    assert not has("allocatable", objects.NODES, 0)({"status": {"allocatable": {}}})
    assert has("allocatable", objects.NODES, 0)({"status": {"allocatable": {objects.NODES: "0"}}})


def test_what_the_suite_installs_is_what_the_chart_takes(charts: Charts, tmp_path: Path) -> None:
    """And what the agent takes, on the node that was chosen."""
    added = {"name": objects.ADDED, "devices": [{"path": "/dev/random"}]}
    for config in (STANDARD, objects.configuration(added)):
        values = objects.values(from_environment(GIVEN), "node-1", config)
        rendered = charts.render(UMBRELLA, values)
        file = tmp_path / "nodeplug.yaml"
        file.write_text(only(rendered, "ConfigMap")["data"]["nodeplug.yaml"])
        done = nodeplug("config", "check", str(file))
        assert (done.code, done.err) == (0, "")
    spec = pod_spec(only(rendered, "DaemonSet"))
    assert spec["hostNetwork"] is True
    assert spec["nodeSelector"] == {"kubernetes.io/hostname": "node-1"}
    assert spec["containers"][0]["image"] == "images.example/nodeplug/custom:dev"
    assert spec["containers"][0]["imagePullPolicy"] == "Never"


def test_the_suites_taint_is_tolerated_because_the_agent_removes_it(charts: Charts) -> None:
    """Not because the suite says so."""
    for cluster, found in ({"removeTaint": objects.TAINT}, [objects.TAINT]), ({}, []):
        config = STANDARD | {"cluster": cluster}
        rendered = charts.render(UMBRELLA, objects.values(from_environment(GIVEN), "n", config, []))
        tolerations = pod_spec(only(rendered, "DaemonSet")).get("tolerations", [])
        assert [each["key"] for each in tolerations] == found


def test_every_object_of_the_suite_is_valid() -> None:
    """By the schema of the newest Kubernetes."""
    given = from_environment(GIVEN)
    made = [
        objects.namespace("x"),
        objects.pod(given, "x", "node-1", "say x", {objects.NODES: 1}, {objects.NODES: 2}),
        objects.pod(given, "x", "node-1", ":", wait=True),
        objects.hands(given, "x", "node-1", "rm /e2e/x"),
    ]
    for each in made:
        kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)


def test_a_pod_says_what_it_has_by_its_termination_message(tmp_path: Path) -> None:
    """The script is one that /bin/sh takes."""
    made = objects.pod(from_environment(GIVEN), "x", "node-1", 'say "one two"; say three')
    (container,) = made["spec"]["containers"]
    said = tmp_path / "termination-log"
    *shell, text = container["command"]
    run([*shell, text.replace("/dev/termination-log", str(said))])
    assert said.read_text().split() == ["one", "two", "three"]
