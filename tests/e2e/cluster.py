"""A cluster by kubectl and helm: whichever KUBECONFIG names."""

import contextlib
import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from e2e.watch import Object, Seen, Watch, WatchError

Predicate = Callable[[Object], bool]


class CommandError(AssertionError):
    """A command that failed, with what it said."""


class Cluster:
    """Commands in one namespace."""

    def __init__(self, kubectl: str, helm: str, namespace: str) -> None:
        self.namespace = namespace
        self._kubectl = [kubectl, "--namespace", namespace]
        self._helm = [helm, "--namespace", namespace]

    def apply(self, *manifests: Object) -> None:
        """Create or change objects."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        run([*self._kubectl, "apply", "--filename", "-"], json.dumps(listed))

    def get(self, *what: str) -> Object:
        """Return an object, or a list of them."""
        found: Object = json.loads(run([*self._kubectl, "get", *what, "--output", "json"]))
        return found

    def delete(self, *what: str) -> None:
        """Remove objects; return when they are gone."""
        run([*self._kubectl, "delete", *what, "--ignore-not-found"])

    def taint(self, node: str, key: str) -> None:
        """Keep pods that do not tolerate it from a node."""
        run([*self._kubectl, "taint", "node", node, f"{key}=:NoSchedule", "--overwrite"])

    def untaint(self, node: str, key: str) -> None:
        """Take a taint from a node, if it is there."""
        with contextlib.suppress(CommandError):
            run([*self._kubectl, "taint", "node", node, f"{key}-"])

    def install(self, release: str, chart: Path, values: Mapping[str, object]) -> None:
        """Install a release, or upgrade it."""
        command = ("upgrade", "--install", release, str(chart), "--values", "-")
        run([*self._helm, *command], json.dumps(values))

    def uninstall(self, release: str) -> None:
        """Uninstall a release, if it is there."""
        run([*self._helm, "uninstall", release, "--ignore-not-found"])

    def test(self, release: str) -> None:
        """Run `helm test`."""
        run([*self._helm, "test", release])

    def watch(self, *what: str) -> Watch:
        """Watch objects."""
        return Watch([*self._kubectl, "get", *what])

    def until(self, predicate: Predicate, *what: str, seconds: float) -> Object:
        """Return the first of these objects for which the predicate holds.

        Raises WatchError, with the object as it was seen last, after so many seconds.
        """
        last: Seen | None = None
        with self.watch(*what) as watch:
            for last in watch.seen(seconds):
                if predicate(last.object):
                    return last.object
        state = json.dumps(last.object.get("status"), indent=1) if last else "nothing was seen"
        raise WatchError(f"{' '.join(what)}: waited {seconds:.0f} s in vain; last status: {state}")

    def describe(self) -> str:
        """Return what helps to understand a failure; whatever cannot be had is left out."""
        agents = ("logs", "--selector", "app.kubernetes.io/component=agent", "--tail=100")
        parts = (("get", "pods", "--output", "wide"), ("get", "events"), agents)
        done = (
            subprocess.run([*self._kubectl, *part], capture_output=True, text=True, check=False)
            for part in parts
        )
        return "\n".join(f"{each.stdout}{each.stderr}" for each in done)


def run(command: list[str], text: str = "") -> str:
    """Return what a command prints; raise CommandError if it fails."""
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        raise CommandError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
