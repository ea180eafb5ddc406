"""An agent starts where pods must not be yet, and is nothing to warn of meanwhile."""

import time
from typing import Any

from support.charts import UMBRELLA, Charts, Values, of_kind, only, pod_spec
from support.container import contained
from support.timed import on_this_machine, timed

TAINT = "example.com/starting"
TOLERATED = {"key": TAINT, "operator": "Exists"}
REMOVES: Values = {"cluster": {"removeTaint": TAINT}}


def tolerations(charts: Charts, values: Values) -> list[Any]:
    found: list[Any] = pod_spec(only(charts.render("custom", values), "DaemonSet")).get(
        "tolerations", []
    )
    return found


def test_an_agent_tolerates_the_taint_that_it_removes(charts: Charts) -> None:
    """Of whatever effect: else it would not come to the node, and the taint would stay."""
    assert tolerations(charts, {"config": REMOVES}) == [TOLERATED]
    assert tolerations(charts, {}) == []


def test_what_was_tolerated_before_still_is(charts: Charts) -> None:
    """And nothing twice."""
    other = {"key": "dedicated", "operator": "Exists"}
    values = {"config": REMOVES, "tolerations": [other, TOLERATED]}
    assert tolerations(charts, values) == [other, TOLERATED]


def test_a_taint_of_some_nodes_is_tolerated_on_all(charts: Charts) -> None:
    """One DaemonSet serves all of them."""
    config = {"nodes": [{"names": ["a*"], "config": REMOVES}]}
    assert tolerations(charts, {"config": config}) == [TOLERATED]


def test_each_pool_tolerates_its_own_taint(charts: Charts) -> None:
    """Beside what the pool's nodes have anyway."""
    gpu = {"key": "nvidia.com/gpu", "operator": "Exists"}
    first = {"backends": ["custom"], "nodeSelector": {"p": "a"}, "config": REMOVES}
    second = {"backends": ["custom"], "nodeSelector": {"p": "b"}, "tolerations": [gpu]}
    rendered = charts.render(UMBRELLA, {"global": {"nodePools": {"a": first, "b": second}}})
    found = [pod_spec(each)["tolerations"] for each in of_kind(rendered, "DaemonSet")]
    assert found == [[TOLERATED], [gpu]]


def container(charts: Charts) -> dict[str, Any]:
    (found,) = pod_spec(only(charts.render("custom", {}), "DaemonSet"))["containers"]
    return dict(found)


def test_no_probe_asks_before_the_agent_has_started(charts: Charts) -> None:
    """Each one that fails is a warning of the pod; those of life wait for the start-up probe."""
    found = container(charts)
    first, life = found["startupProbe"], found["livenessProbe"]
    assert first["httpGet"] == life["httpGet"]
    patience = first["initialDelaySeconds"] + first["periodSeconds"] * first["failureThreshold"]
    assert patience >= life["periodSeconds"] * life["failureThreshold"]


@timed
async def test_the_first_probe_finds_the_agent_up(charts: Charts) -> None:
    """It may take twice as long before anybody is warned of it."""
    delay = container(charts)["startupProbe"]["initialDelaySeconds"]
    async with contained(charts.render("custom", {})) as agent:
        begin = time.monotonic()
        async with agent.running():
            took = time.monotonic() - begin
            assert await agent.page("/healthz") == (200, "ok")
    assert took <= on_this_machine(delay / 2)
