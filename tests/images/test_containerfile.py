"""The images: a target for each backend and one for all, each with core and nothing else of ours.

`make images` builds them, and looks into each; that takes too long for every run of the tests.
"""

import re
from pathlib import Path

import pytest
import yaml

from nodeplug._version import __version__
from support.images import IMAGES, TARGETS, each_target, stages
from support.repository import ROOT


def test_there_is_a_target_for_each_backend_and_one_for_all() -> None:
    """By the names of the charts."""
    assert {name for name, stage in stages().items() if stage.base == "runtime"} == TARGETS.keys()


@each_target
def test_a_target_has_core_and_its_backends(target: str) -> None:
    """Installed from the wheels of the first stage, without asking an index."""
    (install,) = stages()[f"install-{target}"].of("RUN")
    words = install.split()
    own = [word for word in words if word.startswith("nodeplug")]
    assert own == ["nodeplug", *(f"nodeplug-{n.replace('_', '-')}" for n in TARGETS[target])]
    assert "--no-index" in words
    assert stages()[target].of("COPY") == [
        f"--from=install-{target} /opt/nodeplug /opt/nodeplug",
    ]


@each_target
def test_an_image_runs_its_backends_unless_told_otherwise(target: str) -> None:
    """Without a shell: both instructions are lists."""
    named = [part for name in TARGETS[target] for part in ("--backend", name)]
    (command,) = stages()[target].of("CMD")
    (entry,) = stages()["runtime"].of("ENTRYPOINT")
    assert yaml.safe_load(command) == ["run", *named]
    assert yaml.safe_load(entry) == ["/opt/nodeplug/bin/python3", "-m", "nodeplug"]


@each_target
def test_an_image_says_what_it_is(target: str) -> None:
    """In the labels of the Open Container Initiative."""
    text = " ".join([*stages()["runtime"].of("LABEL"), *stages()[target].of("LABEL")])
    labels = dict(re.findall(r'org\.opencontainers\.image\.([\w.]+)=("[^"]*"|\S+)', text))
    assert labels.keys() == {
        "base.name",
        "version",
        "revision",
        "licenses",
        "vendor",
        "title",
        "description",
    }
    assert labels["title"] == f"nodeplug-{target}"


def test_all_targets_are_baked_for_both_architectures() -> None:
    """By `docker buildx bake`."""
    text = (IMAGES / "docker-bake.hcl").read_text()
    listed = re.search(r"matrix += \{ backend = (\[.*\]) \}", text)
    platforms = re.search(r"platforms += (\[.*\])", text)
    assert listed is not None
    assert platforms is not None
    assert {*yaml.safe_load(listed[1])} == TARGETS.keys()
    assert yaml.safe_load(platforms[1]) == ["linux/amd64", "linux/arm64"]


@pytest.mark.parametrize("file", ["Containerfile", "docker-bake.hcl"])
def test_versions_are_those_of_the_repository(file: str) -> None:
    """Unless somebody says otherwise."""
    versions = re.findall(r'(?:VERSION=|"TAG" \{ default = ")(\d[\w.]*)', read(IMAGES / file))
    assert versions == [__version__]


@each_target
def test_the_charts_name_the_images_that_are_built(target: str) -> None:
    """The agent's of each backend, and that of combined agents."""
    umbrella = ROOT / "helm/nodeplug"
    folder = umbrella if target == "all" else umbrella / "charts" / target
    values = yaml.safe_load(read(folder / "values.yaml"))
    image = (values["combined"] if target == "all" else values)["image"]
    assert (image["repository"], image["tag"]) == (f"nodeplug/{target}", "")
    assert yaml.safe_load(read(folder / "Chart.yaml"))["appVersion"] == __version__


def read(file: Path) -> str:
    return file.read_text()
