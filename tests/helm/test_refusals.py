"""What is wrong is refused before anything is installed, with its place and a remedy."""

from typing import NamedTuple

import pytest

from support.charts import UMBRELLA, Charts, Values

A_RESOURCE = {"name": "example.com/x", "devices": [{"path": "/run/x/*"}]}


def pools(**given: Values) -> Values:
    return {"global": {"nodePools": given}}


def custom(section: Values) -> Values:
    return {"config": {"backends": {"custom": section}}}


class Wrong(NamedTuple):
    chart: str
    values: Values
    place: str
    remedy: str


EDGE = {"backends": ["custom"], "nodeSelector": {"pool": "edge"}}
WIDE = {"backends": ["custom", "sriov_net"]}
COMBINED = {"backends": ["custom", "lamps"], "agent": "combined"}
CASES = {
    "an unknown value": Wrong("custom", {"imag": {}}, "'imag'", "'image'"),
    "an unknown value within": Wrong("custom", {"image": {"tg": "1"}}, "at '/image'", "'tag'"),
    "an unknown key of the configuration": Wrong(
        "custom", {"config": {"metrics": {"prt": 1}}}, "at '/config/metrics'", "'port'"
    ),
    "a wrong value of the configuration": Wrong(
        "custom", {"config": {"log": {"level": "loud"}}}, "at '/config/log/level'", "'warning'"
    ),
    "a wrong section of a backend": Wrong(
        "custom",
        custom({"resources": [{**A_RESOURCE, "env": 3}]}),
        "at '/config/backends/custom/resources/0/env'",
        "want object",
    ),
    "another backend's section": Wrong(
        "custom", {"config": {"backends": {"intel_fpga": {}}}}, "'intel_fpga'", "'custom'"
    ),
    "an unknown key of a pool": Wrong(
        UMBRELLA, pools(edge={**EDGE, "taints": []}), "at '/global/nodePools/edge'", "'tolerations'"
    ),
    "a pool without backends": Wrong(
        UMBRELLA, pools(edge={}), "at '/global/nodePools/edge'", "missing property 'backends'"
    ),
    "a wrong configuration of a pool": Wrong(
        UMBRELLA,
        pools(edge={**EDGE, "config": {"backends": {"custom": {"reconcileSeconds": "no"}}}}),
        "at '/global/nodePools/edge/config/backends/custom/reconcileSeconds'",
        "want number",
    ),
    "a pool of which names of objects cannot be made": Wrong(
        UMBRELLA, pools(Edge_1=EDGE), "'Edge_1'", "does not match pattern"
    ),
    "an unknown backend": Wrong(
        UMBRELLA,
        pools(edge={"backends": ["custum"]}),
        "global.nodePools.edge.backends: there is no backend custum",
        "set foreign.custum.image.repository",
    ),
    "a foreign backend without an image": Wrong(
        UMBRELLA,
        {"foreign": {"lamps": {"image": {"tag": "1"}}}},
        "foreign.lamps.image.repository: is not given",
        "name the image",
    ),
    "a foreign backend by the name of ours": Wrong(
        UMBRELLA,
        {"foreign": {"custom": {"image": {"repository": "x"}}}},
        "foreign.custom: is one of our own backends",
        "set the values of the chart custom",
    ),
    "a foreign backend in our image": Wrong(
        UMBRELLA,
        {"foreign": {"lamps": {"image": {"repository": "x"}}}, **pools(edge=COMBINED)},
        "global.nodePools.edge.image.repository: is not given",
        "name an image that has all backends",
    ),
    "a section of a backend that the pool does not have": Wrong(
        UMBRELLA,
        pools(edge={**EDGE, "config": {"backends": {"sriov_net": {}}}}),
        "global.nodePools.edge.config.backends.sriov_net: the pool does not have this backend",
        "add sriov_net to global.nodePools.edge.backends",
    ),
    "two pools of the same nodes": Wrong(
        UMBRELLA,
        pools(edge=EDGE, rim=EDGE),
        "global.nodePools.rim.nodeSelector: pools edge and rim select the same nodes",
        "give the pools selectors that differ",
    ),
    "a pool within another": Wrong(
        UMBRELLA,
        pools(edge=EDGE, wide=WIDE),
        "both have the backend custom",
        "name the backend in one of them",
    ),
    "two runtime classes for one pod": Wrong(
        UMBRELLA,
        {
            "custom": {"runtimeClassName": "kata"},
            "nvidia-gpu": {"runtimeClassName": "nvidia"},
            **pools(edge={"backends": ["custom", "nvidia_gpu"], "agent": "combined"}),
        },
        "global.nodePools.edge.agent: one pod cannot have the runtime classes kata and nvidia",
        "set global.nodePools.edge.runtimeClassName",
    ),
    "a path that the agent does not see": Wrong(
        "custom",
        custom({"resources": [A_RESOURCE]}),
        "resources[].devices[].path: /run/x/* is not below a folder",
        "add {path: /run/x} to custom.hostPaths",
    ),
    "another root of the host": Wrong(
        "custom", {"config": {"host": {"root": "/host"}}}, "host.root: is /host", "leave it out"
    ),
    "a monitor of metrics that are off": Wrong(
        "custom",
        {"config": {"metrics": {"enabled": False}}, "podMonitor": {"enabled": True}},
        "metrics.enabled: is false, but podMonitor.enabled is true",
        "switch the one on or the other off",
    ),
    "an address that cannot be probed": Wrong(
        "custom",
        {"config": {"metrics": {"address": "127.0.0.1"}}},
        "config: metrics.address: is 127.0.0.1",
        "leave it out",
    ),
    "a port of some nodes only": Wrong(
        "custom",
        {"config": {"nodes": [{"names": ["a"], "config": {"metrics": {"port": 1}}}]}},
        "config: nodes[0].config.metrics: changes where probes are answered",
        "make these nodes a pool",
    ),
    "a rule of no feature": Wrong(
        "custom",
        {"nodeFeatureDiscovery": {"rule": True}},
        "custom.nodeFeatureDiscovery.matchFeatures: is empty",
        "say by which features",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_named_with_its_place_and_a_remedy(charts: Charts, case: str) -> None:
    """By `helm template`, and so by every command of Helm that would install it."""
    wrong = CASES[case]
    message = charts.refusal(wrong.chart, wrong.values)
    assert wrong.place in message
    assert wrong.remedy in message


DISJOINT = {"backends": ["custom"], "nodeSelector": {"pool": "rim"}}
CROSSING = {"backends": ["custom"], "nodeSelector": {"zone": "a"}}
OTHER = {"backends": ["sriov_net"], "nodeSelector": {"pool": "edge"}}
TOLD_APART = {**EDGE, "affinity": {"nodeAffinity": {}}}


@pytest.mark.parametrize("second", [DISJOINT, CROSSING, OTHER, TOLD_APART])
def test_pools_that_may_have_nodes_of_their_own_are_taken(charts: Charts, second: Values) -> None:
    """Only what can be seen to be wrong is refused."""
    rendered = charts.render(UMBRELLA, pools(edge=EDGE, rim=second))
    assert sum(each["kind"] == "DaemonSet" for each in rendered) == 2
