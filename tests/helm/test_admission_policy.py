"""Which agents have admission policies; tests/api_servers shows what they do."""

import pytest

from support.charts import UMBRELLA, Charts, Manifest, Values, of_kind, only

POLICY = "ValidatingAdmissionPolicy"


def policies(manifests: list[Manifest]) -> set[str]:
    return {each["metadata"]["name"] for each in of_kind(manifests, POLICY)}


def messages(manifests: list[Manifest]) -> str:
    validations = only(manifests, POLICY)["spec"]["validations"]
    return "; ".join(each["message"] for each in validations)


@pytest.mark.parametrize(
    ("cluster", "found"),
    [
        ({}, set()),
        ({"quarantineAnnotation": "example.com/x"}, set()),
        ({"events": True}, {"devices-r-custom-events"}),
        ({"condition": True}, {"devices-r-custom-nodes"}),
        ({"removeTaint": "example.com/x"}, {"devices-r-custom-nodes"}),
    ],
)
def test_what_an_agent_may_write_is_limited(
    charts: Charts, cluster: Values, found: set[str]
) -> None:
    """Where it may write anything, without being asked for; each policy has its binding."""
    rendered = charts.render("custom", {"config": {"cluster": cluster}})
    assert policies(rendered) == found
    bindings = of_kind(rendered, f"{POLICY}Binding")
    assert {each["spec"]["policyName"] for each in bindings} == found


def test_a_policy_can_be_left_out(charts: Charts) -> None:
    """By one value."""
    values = {"config": {"cluster": {"condition": True}}, "rbac": {"admissionPolicy": False}}
    assert policies(charts.render("custom", values)) == set()


def test_what_holds_on_some_nodes_is_allowed_on_all(charts: Charts) -> None:
    """One account serves all nodes of the pool."""
    override = {"names": ["a*"], "config": {"cluster": {"removeTaint": "example.com/y"}}}
    config = {"cluster": {"removeTaint": "example.com/x"}, "nodes": [override]}
    said = messages(charts.render("custom", {"config": config}))
    assert "removes example.com/x, example.com/y only" in said


@pytest.mark.parametrize("backends", [["intel_fpga"], ["intel_fpga", "sriov_net"]])
def test_conditions_are_named_after_what_an_agent_may_have(
    charts: Charts, backends: list[str]
) -> None:
    """Its one backend, or none of several."""
    pool = {"backends": backends, "agent": "combined", "config": {"cluster": {"condition": True}}}
    said = messages(charts.render(UMBRELLA, {"global": {"nodePools": {"a": pool}}}))
    assert "NodeplugReady, NodeplugIntelFpgaReady" in said


def test_a_backend_that_writes_to_nodes_itself_is_told_of_the_policy(charts: Charts) -> None:
    """Which would refuse what it writes."""
    line = {"feature": "lamps", "rights": [{"resource": "nodes/status", "verbs": ["patch"]}]}
    lamps: Values = {"image": {"repository": "x"}, "privileges": [line]}
    assert "lamps: asks for patch on nodes/status" in charts.refusal(
        UMBRELLA, {"foreign": {"lamps": lamps}}
    )
    lamps["rbac"] = {"admissionPolicy": False}
    assert policies(charts.render(UMBRELLA, {"foreign": {"lamps": lamps}})) == set()
