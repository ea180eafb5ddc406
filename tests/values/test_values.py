"""Values refuse what the kubelet, CDI or DRA would refuse, or worse, accept."""

import pytest

from nodeplug.values.device import Device, Health
from nodeplug.values.edits import ContainerEdits, DeviceNode, Mount, merge
from nodeplug.values.errors import EditsConflictError, InvalidValueError
from nodeplug.values.inventory import Inventory
from nodeplug.values.names import check_cdi_name, check_resource_name

LONGEST_DOMAIN = ".".join(["a" * 60] * 4)


@pytest.mark.parametrize(
    "name", ["example.com/foo", "a/b", f"{LONGEST_DOMAIN}/x", f"a/{'x' * 63}", "a.b/c_d.E-f"]
)
def test_names_that_the_kubelet_accepts_pass(name: str) -> None:
    """R14, the good side of each limit."""
    assert check_resource_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "foo",
        "",
        "a/b/c",
        "/x",
        "a/",
        "Example.com/foo",
        "a.kubernetes.io/foo",
        "requests.example.com/foo",
        f"{LONGEST_DOMAIN}.b/x",
        f"a/{'x' * 64}",
        "a/-x",
        "a/x\n",
        "a b/x",
    ],
)
def test_names_that_the_kubelet_refuses_are_refused(name: str) -> None:
    """R14, the bad side of each limit."""
    with pytest.raises(InvalidValueError, match="resource name"):
        check_resource_name(name)


@pytest.mark.parametrize("device_id", ["a", "GPU-1f", "0000:03:00.1", "x" * 56])
def test_device_ids_in_use_in_the_field_pass(device_id: str) -> None:
    """UUIDs, PCI addresses and names of device nodes."""
    assert Device(id=device_id, resource="a/b").id == device_id


@pytest.mark.parametrize("device_id", ["", "x" * 57, "a::1", "-a", "a b", "a\n", "é", "a/b"])
def test_device_ids_that_could_harm_are_refused(device_id: str) -> None:
    """R23: the kubelet itself would take them."""
    with pytest.raises(InvalidValueError, match="device id"):
        Device(id=device_id, resource="a/b")


@pytest.mark.parametrize("node", [-1, 64])
def test_numa_nodes_outside_the_kubelet_s_mask_are_refused(node: int) -> None:
    """R35."""
    with pytest.raises(InvalidValueError, match="NUMA"):
        Device(id="a", resource="a/b", numa_nodes=(node,))


@pytest.mark.parametrize(("health", "reason"), [(Health.HEALTHY, "hot"), (Health.UNHEALTHY, "")])
def test_a_reason_belongs_to_unhealthy_devices_alone(health: Health, reason: str) -> None:
    """Whoever sees an unhealthy device is told why."""
    with pytest.raises(InvalidValueError, match="reason"):
        Device(id="a", resource="a/b", health=health, reason=reason)


@pytest.mark.parametrize(
    "attributes",
    [
        {"bad name": 1},
        {"a" * 33: 1},
        {"a": "x" * 65},
        {"a": "é" * 33},
        {f"n{n}": n for n in range(33)},
    ],
    ids=["name", "long name", "long value", "more bytes", "too many"],
)
def test_attributes_beyond_the_limits_of_dra_are_refused(attributes: dict[str, str | int]) -> None:
    """R101, from day one."""
    with pytest.raises(InvalidValueError, match="attribute"):
        Device(id="a", resource="a/b", attributes=attributes)


@pytest.mark.parametrize("path", ["relative", "", "/a/../b", "/a\0"])
def test_paths_for_the_runtime_are_absolute_and_straight(path: str) -> None:
    """R61: nobody checks them after us."""
    with pytest.raises(InvalidValueError, match="path"):
        Mount("/ok", path or "x")


@pytest.mark.parametrize("permissions", ["", "x", "wr", "rwx"])
def test_permissions_are_a_subset_of_rwm(permissions: str) -> None:
    """R61."""
    with pytest.raises(InvalidValueError, match="permissions"):
        DeviceNode("/dev/a", permissions=permissions)


def test_an_inventory_refuses_one_id_for_two_devices() -> None:
    """R23: the kubelet would count it once healthy and once not."""
    twins = [Device(id="a", resource="a/b"), Device(id="a", resource="a/c")]
    with pytest.raises(InvalidValueError, match="'a' stands for two devices"):
        Inventory.of(twins)


def test_merged_edits_hold_equal_entries_once() -> None:
    """Two devices that share a control node."""
    both = merge(
        [ContainerEdits(nodes=(DeviceNode("/dev/ctl"), DeviceNode(n))) for n in ("/a", "/b")]
    )
    assert [node.host_path for node in both.nodes] == ["/dev/ctl", "/a", "/b"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ContainerEdits(envs={"A": "1"}), ContainerEdits(envs={"A": "2"})),
        (ContainerEdits(annotations={"A": "1"}), ContainerEdits(annotations={"A": "2"})),
        (
            ContainerEdits(nodes=(DeviceNode("/dev/a", "/dev/x"),)),
            ContainerEdits(nodes=(DeviceNode("/dev/b", "/dev/x"),)),
        ),
        (ContainerEdits(mounts=(Mount("/a", "/x"),)), ContainerEdits(mounts=(Mount("/b", "/x"),))),
    ],
    ids=["env", "annotation", "node", "mount"],
)
def test_contradicting_edits_are_refused(first: ContainerEdits, second: ContainerEdits) -> None:
    """R60: the kubelet would keep a random one."""
    with pytest.raises(EditsConflictError):
        merge([first, second])


def test_a_set_level_value_takes_the_place_of_each_device_s_own() -> None:
    """The joined list wins over the single ids."""
    joined = ContainerEdits(envs={"IDS": "a,b"})
    parts = [ContainerEdits(envs={"IDS": i, "KEPT": "1"}).yielding_to(joined) for i in ("a", "b")]
    assert merge([*parts, joined]).envs == {"IDS": "a,b", "KEPT": "1"}


@pytest.mark.parametrize("name", ["vendor.com/gpu", "vendor.com/gpu=", "gpu=1", "v/c=a b"])
def test_cdi_names_need_vendor_class_and_device(name: str) -> None:
    """R63: checked by the runtime only, when the container starts."""
    with pytest.raises(InvalidValueError, match="CDI"):
        check_cdi_name(name)
