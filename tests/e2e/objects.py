"""What the suite installs: values of the chart, and pods."""

from collections.abc import Sequence
from typing import Any

from e2e.parameters import Parameters
from e2e.watch import Object

# The test's own devices: nodes that every host has, and files that pods make and remove.
NODES = "e2e.example.com/node"
FILES = "e2e.example.com/file"
SHARED = "e2e.example.com/shared"
ADDED = "e2e.example.com/added"
NODE_PATHS = ("/dev/full", "/dev/null", "/dev/zero")
FOLDER = "/run/nodeplug-e2e"
NAMES = ("device-0", "device-1")
REPLICAS = 200
TAINT = "e2e.example.com/starting"
ANYWHERE = [{"operator": "Exists"}]


def configuration(*more: Object) -> dict[str, Any]:
    """Return the agent's configuration; `more` are further resources."""
    nodes = {
        "name": NODES,
        "devices": [{"path": path, "containerPath": "/dev/e2e/"} for path in NODE_PATHS],
        "env": {"E2E_NODES": "{hostPath}"},
    }
    files = {
        "name": FILES,
        "devices": [{"path": f"{FOLDER}/device-*", "type": "file", "containerPath": "/e2e/files/"}],
        "env": {"E2E_FILES": "{hostPath}"},
    }
    shared = {
        "name": SHARED,
        "devices": [{"path": "/dev/urandom", "containerPath": "/dev/e2e/"}],
    }
    return {
        "backends": {"custom": {"resources": [nodes, files, shared, *more]}},
        "offers": [{"resource": SHARED, "replicas": REPLICAS}],
    }


def values(
    given: Parameters, node: str, config: Object, tolerations: Sequence[Object] = ANYWHERE
) -> dict[str, Any]:
    """Return values of the umbrella chart for one node; an empty name keeps agents from all."""
    selector = {"kubernetes.io/hostname": node} if node else {"nodeplug-e2e": "nowhere"}
    return {
        "custom": {
            "enabled": True,
            "image": {
                "repository": given.repository("custom"),
                "tag": given.tag,
                "pullPolicy": given.pull_policy,
            },
            "nodeSelector": selector,
            "tolerations": [*tolerations],
            "hostPaths": [{"path": FOLDER}],
            "hostNetwork": given.host_network,
            "config": config,
            "test": {"resources": [{"resource": SHARED, "paths": ["/dev/e2e/urandom"]}]},
        }
    }


def namespace(name: str) -> Object:
    """Return a namespace that allows pods with folders of the host."""
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def pod(
    given: Parameters,
    name: str,
    node: str,
    script: str,
    *limits: dict[str, int],
    wait: bool = False,
) -> Object:
    """Return a pod with one container for each of the limits, or one without any.

    Each runs the script, which tells what it has to say by its termination message: nothing but
    the API is needed to read it. With `wait` it then waits.
    """
    text = f'say() {{ echo "$@" >>/dev/termination-log; }}\n{script}\n'
    containers = [
        _container(given, f"c{number}", text + ("sleep 3600\n" if wait else ""), each)
        for number, each in enumerate(limits or ({},))
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"nodeplug-e2e": "workload"}},
        "spec": _spec(given, node, containers),
    }


def _spec(given: Parameters, node: str, containers: Sequence[Object]) -> Object:
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "hostNetwork": given.host_network,
        "nodeSelector": {"kubernetes.io/hostname": node},
        "tolerations": ANYWHERE,
        "containers": list(containers),
    }


def _container(given: Parameters, name: str, text: str, limits: dict[str, int]) -> Object:
    return {
        "name": name,
        "image": given.workload_image,
        "imagePullPolicy": given.pull_policy,
        "command": ["/bin/sh", "-c", text],
        "resources": {"limits": limits},
    }


def hands(given: Parameters, name: str, node: str, script: str) -> Object:
    """Return a pod that does something in the folder of the test's files, at /e2e."""
    found = pod(given, name, node, script)
    found["spec"]["volumes"] = [
        {"name": "folder", "hostPath": {"path": FOLDER, "type": "DirectoryOrCreate"}}
    ]
    found["spec"]["containers"][0]["volumeMounts"] = [{"name": "folder", "mountPath": "/e2e"}]
    return found
