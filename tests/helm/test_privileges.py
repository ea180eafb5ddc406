"""An agent's pod is granted what the privilege table says, no more and no less."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest

from nodeplug.backend import ClusterRight, HostMount, Privilege
from nodeplug.config.settings import LEDGER_DIR
from nodeplug.loader import load
from nodeplug.operations.privileges import CORE
from support.charts import UMBRELLA, Charts, Manifest, Values, of_kind, only, pod_spec
from support.repository import PLUGINS

BACKENDS = [folder.name for folder in PLUGINS]
TABLES = {"core": CORE} | {name: load(name).privileges for name in BACKENDS}


def hardware(match: Values) -> Values:
    return {"resources": [{"name": "example.com/x", "hardware": [match]}]}


# Sections that switch on what is more than a key and its value, by the setting in the table.
SECTIONS: dict[str, Values] = {
    "offers[].inject=cdi*": {"offers": [{"resource": "a.b/c", "inject": "cdi-annotations"}]},
    "programming[]": {
        "programming": [
            {
                "name": "example.com/x",
                "interface": "0" * 32,
                "afu": "0" * 32,
                "bitstream": "/srv/intel.com/fpga/x.gbs",
                "sha256": "0" * 64,
            }
        ]
    },
    "resources[].hardware[].udev.tags": hardware({"udev": {"tags": ["x"]}}),
    "resources[].hardware[].udev.properties": hardware({"udev": {"properties": {"A": "b"}}}),
    "resources[].hardware[].members[].udev.tags": hardware(
        {"members": [{"udev": {"tags": ["x"]}}]}
    ),
    "resources[].hardware[].members[].udev.properties": hardware(
        {"members": [{"udev": {"properties": {"A": "b"}}}]}
    ),
    "resources[].hardware[].health.open=true": hardware({"health": {"open": True}}),
    "deviceListStrategy[]=cdi-*": {"deviceListStrategy": ["envvar", "cdi-cri"]},
}


def section_of(setting: str) -> Values:
    """Return a section with this setting, and nothing else."""
    if setting in SECTIONS:
        return SECTIONS[setting]
    path, _, text = setting.partition("=")
    known: Any = {"true": True, "false": False, "PATH": "/x", "KEY": "x"}
    found = known.get(text, text)
    for key in reversed(path.split(".")):
        found = {key: found}
    section: Values = found
    return section


class Grants(NamedTuple):
    """What matters of a pod's privileges, in a form to compare."""

    mounts: frozenset[HostMount]
    capabilities: frozenset[str]
    privileged: bool
    host_network: bool
    rights: frozenset[tuple[str, str, str]]


def told(lines: Sequence[Privilege]) -> Grants:
    """Return what lines of the table amount to."""
    mounts: dict[str, HostMount] = {}
    for mount in (each for line in lines for each in line.mounts):
        had = mounts.get(mount.path, mount)
        mounts[mount.path] = HostMount(
            mount.path, had.read_only and mount.read_only, had.propagation or mount.propagation
        )
    return Grants(
        frozenset(mounts.values()),
        frozenset(name for line in lines for name in line.capabilities),
        any(line.privileged for line in lines),
        any(line.host_network for line in lines),
        frozenset(
            (r.namespace, r.resource, v) for line in lines for r in line.rights for v in r.verbs
        ),
    )


def granted(manifests: list[Manifest]) -> Grants:
    """Return what the one agent among manifests has."""
    spec = pod_spec(only(manifests, "DaemonSet"))
    (container,) = spec["containers"]
    security = container["securityContext"]
    roles = [*of_kind(manifests, "ClusterRole"), *of_kind(manifests, "Role")]
    return Grants(
        frozenset(host_mounts(spec)),
        frozenset(security["capabilities"].get("add", [])),
        security["privileged"],
        spec.get("hostNetwork", False),
        frozenset(
            (role["metadata"].get("namespace", ""), resource, verb)
            for role in roles
            for rule in role["rules"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        ),
    )


def host_mounts(spec: dict[str, Any]) -> Iterator[HostMount]:
    paths = {v["name"]: v["hostPath"]["path"] for v in spec["volumes"] if "hostPath" in v}
    for mount in spec["containers"][0]["volumeMounts"]:
        if mount["name"] in paths:
            assert mount["mountPath"] == paths[mount["name"]]
            later = mount.get("mountPropagation") == "HostToContainer"
            yield HostMount(mount["mountPath"], mount.get("readOnly", False), later)


def base(backend: str) -> list[Privilege]:
    """Return what an agent with this backend always has."""
    return [line for line in (*CORE, *TABLES[backend]) if not line.setting]


def features() -> Iterator[Any]:
    for table, lines in TABLES.items():
        for line in lines:
            if line.setting:
                yield pytest.param(table, line, id=f"{table}: {line.feature}")


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_agent_without_features_has_what_is_always_needed(charts: Charts, backend: str) -> None:
    """Of core and of its backend."""
    rendered = charts.render(backend.replace("_", "-"), {})
    assert granted(rendered) == told(base(backend))


@pytest.mark.parametrize(("table", "line"), list(features()))
def test_a_feature_is_granted_exactly_its_line(charts: Charts, table: str, line: Privilege) -> None:
    """Besides what is always needed."""
    backend = "custom" if table == "core" else table
    section = section_of(line.setting)
    config = section if table == "core" else {"backends": {backend: section}}
    rendered = charts.render(backend.replace("_", "-"), {"config": config})
    assert granted(rendered) == told([*base(backend), line])


def test_a_combined_agent_has_the_union(charts: Charts) -> None:
    """Of what its backends always need."""
    pool = {"backends": BACKENDS, "agent": "combined"}
    rendered = charts.render(UMBRELLA, {"global": {"nodePools": {"all": pool}}})
    assert granted(rendered) == told([line for name in BACKENDS for line in base(name)])


LAMPS = Privilege(
    feature="seeing lamps",
    reason="",
    setting="bright=true",
    mounts=[HostMount("/run/lamps", read_only=False, propagation=True), HostMount("/dev")],
    capabilities=["NET_ADMIN"],
    rights=[ClusterRight("events", ["list"], "lamps")],
)


@pytest.mark.parametrize("agent", ["separate", "combined"])
@pytest.mark.parametrize(("bright", "lines"), [(True, [LAMPS]), (False, [])])
def test_a_foreign_backend_is_granted_what_it_says(
    charts: Charts, agent: str, *, bright: bool, lines: list[Privilege]
) -> None:
    """When its setting is given, alone and beside others."""
    line = {
        "feature": LAMPS.feature,
        "setting": LAMPS.setting,
        "mounts": [
            {"path": "/run/lamps", "readOnly": False, "propagation": True},
            {"path": "/dev"},
        ],
        "capabilities": ["NET_ADMIN"],
        "rights": [{"resource": "events", "verbs": ["list"], "namespace": "lamps"}],
    }
    lamps = {
        "image": {"repository": "x"},
        "privileges": [line],
        "config": {"backends": {"lamps": {"bright": bright}}},
    }
    pool = {"backends": ["lamps"], "agent": agent, "image": {"repository": "x"}}
    values = {"foreign": {"lamps": lamps}, "global": {"nodePools": {"a": pool}}}
    core = [each for each in CORE if not each.setting]
    assert granted(charts.render(UMBRELLA, values)) == told([*core, *lines])


def test_a_feature_for_some_nodes_is_granted(charts: Charts) -> None:
    """One DaemonSet serves all nodes of the pool."""
    nodes = [{"names": ["a*"], "config": {"labels": {"enabled": True}}}]
    rendered = charts.render("custom", {"config": {"nodes": nodes}})
    (line,) = (line for line in CORE if line.setting == "labels.enabled=true")
    assert granted(rendered) == told([*base("custom"), line])


def test_a_feature_that_is_switched_off_is_not_granted(charts: Charts) -> None:
    """A setting that is given and false is off."""
    config = {"labels": {"enabled": False}, "cluster": {"events": False, "removeTaint": ""}}
    rendered = charts.render("custom", {"config": config})
    assert granted(rendered) == told(base("custom"))


def test_a_folder_that_was_moved_is_mounted_where_it_is(charts: Charts) -> None:
    """The configuration and the mount tell the same path."""
    config = {
        "labels": {"enabled": True, "featureDir": "/etc/features"},
        "kubelet": {"podResourcesSocket": "/other/pods/kubelet.sock"},
        "host": {"ledgerDir": "/run/ledger"},
    }
    rendered = charts.render("custom", {"config": config})
    mounts = {mount.path: mount.read_only for mount in granted(rendered).mounts}
    assert mounts == {
        "/dev": True,
        "/etc/features": False,
        "/other/pods": True,
        "/run/ledger": False,
        "/sys/fs/cgroup": True,
        "/var/lib/kubelet/device-plugins": False,
    }


def test_agents_share_the_folder_of_the_ledger(charts: Charts) -> None:
    """On the host's tmpfs, made where it is not there; none where none is wanted."""
    volumes = pod_spec(only(charts.render("custom", {}), "DaemonSet"))["volumes"]
    shared = {"path": LEDGER_DIR, "type": "DirectoryOrCreate"}
    assert shared in [volume.get("hostPath") for volume in volumes]
    rendered = charts.render("custom", {"config": {"host": {"ledgerDir": ""}}})
    lines = [line for line in base("custom") if LEDGER_DIR not in {m.path for m in line.mounts}]
    assert granted(rendered) == told(lines)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_container_is_locked_up(charts: Charts, backend: str) -> None:
    """Root, for the kubelet's sockets are root's, but without anything that root can do."""
    spec = pod_spec(only(charts.render(backend.replace("_", "-"), {}), "DaemonSet"))
    security = spec["containers"][0]["securityContext"]
    needs = told(base(backend))
    assert security["capabilities"]["drop"] == ["ALL"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is needs.privileged
    assert spec["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert spec["automountServiceAccountToken"] is bool(needs.rights)


def test_a_token_is_mounted_where_rights_are_needed(charts: Charts) -> None:
    """And bound to the account that the pod has."""
    rendered = charts.render("custom", {"config": {"cluster": {"events": True}}})
    spec = pod_spec(only(rendered, "DaemonSet"))
    binding = only(rendered, "RoleBinding")
    (subject,) = binding["subjects"]
    assert spec["automountServiceAccountToken"] is True
    assert (subject["name"], subject["namespace"]) == (spec["serviceAccountName"], "devices")
    assert binding["roleRef"]["name"] == only(rendered, "Role")["metadata"]["name"]


def test_events_are_allowed_where_those_of_nodes_are(charts: Charts) -> None:
    """In one namespace; an agent that only tells has no right in any other."""
    rendered = charts.render("custom", {"config": {"cluster": {"events": True}}})
    found = [(each["kind"], each["metadata"].get("namespace")) for each in rendered]
    assert ("Role", "default") in found
    assert ("RoleBinding", "default") in found
    assert not [kind for kind, _ in found if kind.startswith("ClusterRole")]


def test_security_context_constraints_allow_what_the_pod_has(charts: Charts) -> None:
    """On OpenShift."""
    rendered = charts.render("sriov-net", {"openshift": {"scc": True}})
    allowed = only(rendered, "SecurityContextConstraints")
    assert allowed["allowHostNetwork"] is granted(rendered).host_network is True
    assert allowed["allowPrivilegedContainer"] is granted(rendered).privileged is False
    assert allowed["users"] == ["system:serviceaccount:devices:r-sriov-net"]
