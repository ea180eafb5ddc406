"""Parts of the end-to-end suite that a real API server without a kubelet can judge."""

import pytest

from api_servers.installation import NAMESPACE, OTHER, Installation
from e2e.cluster import Cluster
from e2e.objects import TAINT
from e2e.stage import taints
from support.charts import program

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("API servers")]


def test_a_node_is_tainted_and_cleared(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once too often does no harm; other taints stay."""
    before = taints(installation.node(OTHER))
    monkeypatch.setenv("KUBECONFIG", str(installation.server.folder / "kubeconfig"))
    cluster = Cluster(program("kubectl"), "", NAMESPACE)
    for _ in range(2):
        cluster.taint(OTHER, TAINT)
        assert sorted(taints(installation.node(OTHER))) == sorted([*before, TAINT])
    for _ in range(2):
        cluster.untaint(OTHER, TAINT)
        assert taints(installation.node(OTHER)) == before
