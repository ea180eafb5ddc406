"""The Helm charts, rendered as `helm template` does."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from support.needs import require
from support.repository import PLUGINS, ROOT

UMBRELLA = "nodeplug"
SUBCHARTS = [folder.name.replace("_", "-") for folder in PLUGINS]
Manifest = dict[str, Any]
Values = dict[str, Any]


def program(name: str) -> str:
    """Return where helm or kubectl is."""
    path = os.pathsep.join([os.environ["PATH"], str(ROOT / ".tools")])
    found = shutil.which(name, path=path)
    require(found is not None, f"there is no {name}; `make charts` gets it")
    return str(found)


class Charts:
    """A copy of the charts, each complete with the library. What was rendered is remembered."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "helm"
        self._helm = program("helm")
        self._rendered: dict[tuple[str, str], subprocess.CompletedProcess[str]] = {}
        ignored = shutil.ignore_patterns("*.tgz")
        shutil.copytree(ROOT / "helm", self._folder, ignore=ignored)
        library = self._folder / "nodeplug-lib"
        for name in (UMBRELLA, *SUBCHARTS):
            shutil.copytree(library, self.path(name) / "charts/nodeplug-lib")

    def path(self, name: str) -> Path:
        """Return where a chart is: the umbrella, or that of a backend in dashed form."""
        umbrella = self._folder / UMBRELLA
        return umbrella if name == UMBRELLA else umbrella / "charts" / name

    def render(self, name: str, values: Values) -> list[Manifest]:
        """Return the manifests of a release `r` in a namespace `devices`."""
        done = self._template(name, values)
        assert done.returncode == 0, done.stderr
        return [each for each in yaml.safe_load_all(done.stdout) if each]

    def refusal(self, name: str, values: Values) -> str:
        """Return why helm refuses to render."""
        done = self._template(name, values)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def notes(self, name: str, values: Values) -> str:
        """Return what the operator reads after the installation."""
        options = ("--dry-run=client", "--namespace", "devices", "--values", self._file(values))
        done = self._run("install", "r", str(self.path(name)), *options)
        assert done.returncode == 0, done.stderr
        return done.stdout.partition("NOTES:\n")[2]

    def lint(self, names: list[str], values: Values) -> subprocess.CompletedProcess[str]:
        """Look for what helm finds wrong with charts."""
        paths = [str(self.path(name)) for name in names]
        return self._run("lint", "--strict", "--values", self._file(values), *paths)

    def _template(self, name: str, values: Values) -> subprocess.CompletedProcess[str]:
        key = name, json.dumps(values)
        if key not in self._rendered:
            chart = str(self.path(name))
            arguments = ("r", chart, "--namespace", "devices", "--values", self._file(values))
            self._rendered[key] = self._run("template", *arguments)
        return self._rendered[key]

    def _file(self, values: Values) -> str:
        file = self._folder / "given.yaml"
        file.write_text(json.dumps(values))
        return str(file)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = (self._helm, *arguments)
        nowhere = os.environ | {"KUBECONFIG": os.devnull}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=nowhere)


def only(manifests: list[Manifest], kind: str) -> Manifest:
    """Return the one manifest of a kind."""
    (found,) = of_kind(manifests, kind)
    return found


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [each for each in manifests if each["kind"] == kind]


def own_kinds(manifests: list[Manifest]) -> list[Manifest]:
    """Return what is of Kubernetes itself: of the kinds of other projects there is no schema."""
    foreign = {"NodeFeatureRule", "PodMonitor", "PrometheusRule", "SecurityContextConstraints"}
    return [each for each in manifests if each["kind"] not in foreign]


def pod_spec(workload: Manifest) -> dict[str, Any]:
    """Return the pod of a DaemonSet, or of a Pod."""
    spec: dict[str, Any] = workload["spec"]
    inner: dict[str, Any] = spec.get("template", {}).get("spec", spec)
    return inner


def configuration(manifest: Manifest) -> dict[str, Any]:
    """Return what a ConfigMap configures an agent with."""
    found: dict[str, Any] = yaml.safe_load(manifest["data"]["nodeplug.yaml"])
    return found
