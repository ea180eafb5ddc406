"""One release in one namespace on one node. Run by `make e2e`, never by `pytest` alone."""

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from e2e import objects
from e2e.cluster import Cluster, CommandError
from e2e.parameters import from_environment
from e2e.stage import RELEASE, Stage
from e2e.watch import Object, WatchError
from support.charts import UMBRELLA, Charts, program

FIGURES = pytest.StashKey[list[str]]()


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Leave these tests out unless they are asked for by name."""
    asked = any("e2e" in str(each) for each in config.invocation_params.args)
    return None if asked else True


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Choose a node, make the namespace and the files; take all of it away at the end."""
    given = from_environment(os.environ)
    chart = Charts(tmp_path_factory.mktemp("charts")).path(UMBRELLA)
    cluster = Cluster(program("kubectl"), program("helm"), given.namespace)
    try:
        nodes = cluster.get("nodes")["items"]
    except CommandError as error:
        pytest.exit(
            f"KUBECONFIG must name a cluster that answers; see tests/e2e/README.md: {error}"
        )
    node = choose(nodes, given.node)["metadata"]
    stage = Stage(cluster, given, node["name"], node["labels"]["kubernetes.io/hostname"], chart)
    cluster.apply(objects.namespace(given.namespace))
    try:
        with contextlib.suppress(WatchError):  # some clusters have no accounts
            cluster.until(bool, "serviceaccounts", seconds=30)
        cluster.delete("pods", "--selector", "nodeplug-e2e=workload")
        stage.touch(f"cd /e2e && rm -f device-* && touch {' '.join(objects.NAMES)}")
        yield stage
        cluster.delete("pods", "--selector", "nodeplug-e2e=workload")
        stage.touch("cd /e2e && rm -f device-*")
    finally:
        cluster.uninstall(RELEASE)
        cluster.delete("namespace", given.namespace)


def choose(nodes: list[Object], name: str = "") -> Object:
    """Return the node of that name; without one the first that is ready, best one without taints.

    The suite's own pods go anywhere, but what else is on a tainted node may disturb them.
    """
    if name:
        named = [node for node in nodes if node["metadata"]["name"] == name]
        return named[0] if named else pytest.exit(f"NODEPLUG_E2E_NODE: there is no node {name}")

    def rank(node: Object) -> tuple[bool, bool, int]:
        conditions = {each["type"]: each["status"] for each in node["status"]["conditions"]}
        spec = node["spec"]
        is_ready = conditions.get("Ready") == "True"
        return not is_ready, bool(spec.get("unschedulable")), len(spec.get("taints", ()))

    return min(nodes, key=rank)


@pytest.fixture
def installed(stage: Stage) -> Iterator[Stage]:
    """Have the release as it is at first, and no workloads."""
    stage.install()
    for resource, count in {objects.NODES: 3, objects.FILES: 2, objects.SHARED: 200}.items():
        stage.offers(resource, count)
    yield stage
    stage.cluster.delete("pods", "--selector", "nodeplug-e2e=workload")


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """Keep a figure for the reports: the terminal's and JUnit's."""

    def keep(name: str, value: object) -> None:
        request.node.user_properties.append((name, value))
        request.config.stash.setdefault(FIGURES, []).append(f"{name}: {value}")

    return keep


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the figures."""
    for line in config.stash.get(FIGURES, []):
        terminalreporter.write_line(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Show pods, Events and logs beside a failure."""
    report: Any = yield
    stage = getattr(item, "funcargs", {}).get("stage")
    if report.failed and isinstance(stage, Stage):
        report.sections.append(("Cluster", stage.cluster.describe()))
    return report
