"""The examples: values that render, and pods that ask for what these values give."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import msgspec
import pytest
import yaml

from nodeplug._version import __version__
from nodeplug.offers import OfferRule
from support.charts import UMBRELLA, Charts, configuration, of_kind, pod_spec
from support.command import nodeplug
from support.repository import ROOT

EXAMPLES = ROOT / "examples"
VALUES = sorted(file.name for file in EXAMPLES.glob("values/*.yaml"))
ROW = re.compile(
    r"^\| \[[\w-]+\]\((pods/\S+)\) \|.*\| \[[\w-]+\]\((values/\S+)\) \|$", re.MULTILINE
)
PAIRS = ROW.findall((EXAMPLES / "README.md").read_text())
# What a backend names by itself.
FIXED = {"nvidia_gpu": ["nvidia.com/gpu"]}


def configurations(charts: Charts, values: str) -> list[dict[str, Any]]:
    """Return the configuration of each agent that an example's values give."""
    rendered = charts.render(UMBRELLA, yaml.safe_load((EXAMPLES / values).read_text()))
    return [configuration(each) for each in of_kind(rendered, "ConfigMap")]


def names(config: dict[str, Any], backends: list[str]) -> set[str]:
    """Return the public names of what an agent serves."""
    sections = config.get("backends", {})
    own = [name for each in backends for name in FIXED.get(each, [])]
    own += [each["name"] for each in sections.get("custom", {}).get("resources", [])]
    own += [each["name"] for each in sections.get("sriov_net", {}).get("pools", [])]
    rules = msgspec.convert(config.get("offers", []), tuple[OfferRule, ...])
    renamed = {rule.resource: rule.public_name for rule in rules}
    return {renamed.get(name, name) for name in own}


def served(charts: Charts, values: str) -> set[str]:
    rendered = charts.render(UMBRELLA, yaml.safe_load((EXAMPLES / values).read_text()))
    agents = zip(of_kind(rendered, "ConfigMap"), of_kind(rendered, "DaemonSet"), strict=True)
    return {
        name
        for config, agent in agents
        for name in names(
            configuration(config),
            [a.removeprefix("--backend=") for a in pod_spec(agent)["containers"][0]["args"]],
        )
    }


def test_every_pod_is_listed_with_its_values() -> None:
    """On the page of the examples."""
    assert {pod for pod, _ in PAIRS} == {f"pods/{f.name}" for f in EXAMPLES.glob("pods/*.yaml")}


@pytest.mark.parametrize(("pod", "values"), PAIRS)
def test_a_pod_asks_for_names_that_its_values_give(charts: Charts, pod: str, values: str) -> None:
    """Multus is told the same name."""
    wanted = set()
    for each in yaml.safe_load_all((EXAMPLES / pod).read_text()):
        annotations = each["metadata"].get("annotations", {})
        wanted |= {v for k, v in annotations.items() if k.endswith("/resourceName")}
        for container in each["spec"].get("containers", []):
            wanted |= container["resources"]["limits"].keys()
    assert wanted
    assert wanted <= served(charts, values)


@pytest.mark.parametrize("pod", [pod for pod, _ in PAIRS])
def test_a_pod_is_valid(pod: str) -> None:
    """By the schema of the newest Kubernetes."""
    for each in yaml.safe_load_all((EXAMPLES / pod).read_text()):
        if each["kind"] == "Pod":
            newest = kubernetes_validate.latest_version()
            kubernetes_validate.validate(each, newest, strict=True)


@pytest.mark.parametrize("pod", sorted({pod for pod, _ in PAIRS} - {"pods/shared-gpu.yaml"}))
def test_a_pod_shows_what_it_got_by_our_own_image(pod: str) -> None:
    """Nothing comes from another registry, and the options are those that the command has."""
    for each in yaml.safe_load_all((EXAMPLES / pod).read_text()):
        for container in each["spec"].get("containers", []):
            assert container["image"] == f"nodeplug/custom:{__version__}"
            done = nodeplug(*container["args"])
            assert (done.code, done.err) == (1, "")  # here nothing is given
            assert "missing" in done.out


@pytest.mark.parametrize("values", VALUES)
def test_the_configuration_of_an_example_passes_the_check(
    charts: Charts, values: str, tmp_path: Path
) -> None:
    """By `nodeplug config check`."""
    files = []
    for number, config in enumerate(configurations(charts, f"values/{values}")):
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(yaml.safe_dump(config))
    done = nodeplug("config", "check", *map(str, files))
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("file", sorted(file.name for file in EXAMPLES.glob("*.yaml")))
def test_a_configuration_for_the_agent_is_one_for_the_chart_too(charts: Charts, file: str) -> None:
    """Word for word below `config`."""
    config = yaml.safe_load((EXAMPLES / file).read_text())
    (rendered,) = of_kind(charts.render("custom", {"config": config}), "ConfigMap")
    assert configuration(rendered) == config
