"""Drivers and GPUs that come, go and are exchanged are noticed without a restart."""

import threading
from pathlib import Path

import pytest

from nodeplug.host.socket_uevents import send_uevent
from nodeplug.host.uevents import Uevent
from nodeplug.values.inventory import Inventory
from nodeplug_nvidia_gpu.driver import DriverError
from nodeplug_nvidia_gpu.health import HealthBook
from nodeplug_nvidia_gpu.nvml_driver import NvmlDriver
from nodeplug_nvidia_gpu.surroundings import Surveyor
from support.nvml_host import (
    GPU,
    NvmlHost,
    reasons,
    settings,
    slice_uuid,
    until,
    uuid,
    watching,
)
from support.nvml_library import compiled
from support.nvml_stage import served
from support.nvml_state import NOT_LOADED

MISMATCH = 18
# So rare that what is noticed sooner was announced.
RARELY = {"pollSeconds": 60}


async def test_without_a_driver_there_are_no_devices(bare: NvmlHost) -> None:
    """And nothing fails."""
    inventory = await bare.inventory()
    assert not inventory.devices
    assert inventory.resources == {GPU}


async def test_a_driver_that_is_installed_later_is_noticed_at_once(bare: NvmlHost) -> None:
    """The file system tells of the library."""
    bare.add(0)
    async with watching(bare.backend(health=RARELY)) as inventories:
        await anext(inventories)
        bare.install()
        await until(inventories, lambda inventory: [*inventory.devices] == [uuid(0)])


async def test_a_driver_that_is_installed_later_reaches_the_kubelet(bare: NvmlHost) -> None:
    """Under the registration that stands."""
    bare.add(0)
    async with served(bare) as play:
        await play.sick(of=0)
        bare.install()
        await play.sick(of=1)


async def test_a_broken_library_is_no_driver(bare: NvmlHost) -> None:
    """A file half written, or for another machine."""
    (bare.place / "libnvidia-ml.so.1").write_bytes(b"\x7fELF")
    assert not (await bare.inventory()).devices


@pytest.mark.parametrize("code", [NOT_LOADED, MISMATCH, 999])
async def test_a_driver_that_fails_at_the_start_is_opened_later(eight: NvmlHost, code: int) -> None:
    """The kernel's part may be loaded after the library is there."""
    eight.state.init_error = code
    async with watching(eight.backend()) as inventories:
        assert not (await anext(inventories)).devices
        eight.state.init_error = 0
        await until(inventories, lambda inventory: len(inventory.devices) == 8)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1, "Uninitialized"),
        (NOT_LOADED, "Driver Not Loaded"),
        (MISMATCH, "RM has detected an NVML/RM version mismatch."),
    ],
)
async def test_a_driver_that_is_unloaded_takes_all_along_until_it_is_back(
    eight: NvmlHost, code: int, reason: str
) -> None:
    """At once, whatever the hold-off: the GPUs were well."""
    async with watching(eight.backend(health={"holdOffSeconds": 3600})) as inventories:
        before = await anext(inventories)
        eight.state.driver_error = eight.state.init_error = code
        gone = await until(inventories, lambda inventory: len(reasons(inventory)) == 8)
        assert {*reasons(gone).values()} == {reason}
        eight.state.driver_error = eight.state.init_error = 0
        assert await until(inventories, lambda inventory: not reasons(inventory)) == before


def mapped(host: NvmlHost) -> set[str]:
    """Return the names of a host's stand-ins that this process has loaded."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {line.split("/")[-1] for line in lines if f"{host.place}/libnvidia-ml.so" in line}


NEW = "560.28.03"


def is_new(inventory: Inventory) -> bool:
    return inventory.devices[uuid(0)].attributes["driverVersion"] == NEW


async def test_an_upgraded_library_takes_the_place_of_the_old(eight: NvmlHost) -> None:
    """The old one is unloaded: it could not speak to the new driver."""
    async with watching(eight.backend(health=RARELY)) as inventories:
        await anext(inventories)
        eight.install(NEW)
        new = await until(inventories, is_new)
        assert mapped(eight) == {f"libnvidia-ml.so.{NEW}"}
    assert reasons(new) == {}


async def test_what_has_hung_does_not_keep_the_old_library(eight: NvmlHost) -> None:
    """Although nobody asks for that again."""
    fault = eight.fault("nvmlDeviceGetPowerUsage", 3, hang=True)
    backend = eight.backend()
    async with watching(backend) as inventories:
        await anext(inventories)
        await backend.measure()
        fault.hang = 0
        eight.install(NEW)
        await until(inventories, is_new)


async def test_events_are_heard_from_the_new_library(eight: NvmlHost) -> None:
    """GPUs are registered anew."""
    async with watching(eight.backend(health=RARELY)) as inventories:
        await anext(inventories)
        eight.install(NEW)
        await until(inventories, is_new)
        eight.tell(4, 79)
        await until(inventories, lambda inventory: {*reasons(inventory)} == {uuid(4)})


async def test_a_stopped_backend_lets_the_driver_go(eight: NvmlHost) -> None:
    """Who holds it stands in the way of its removal."""
    await eight.inventory()
    for thread in threading.enumerate():
        if thread.name == "nvidia-look":
            thread.join()
    assert (eight.state.users, mapped(eight)) == (0, set())


async def test_a_gpu_that_is_plugged_in_is_noticed(eight: NvmlHost) -> None:
    """Composable hardware."""
    async with watching(eight.backend()) as inventories:
        await anext(inventories)
        eight.add(8)
        found = await until(inventories, lambda inventory: len(inventory.devices) == 9)
    assert reasons(found) == {}


async def test_a_gpu_that_only_a_driver_opened_anew_finds_is_noticed(eight: NvmlHost) -> None:
    """The kernel lists it before NVML does."""
    eight.state.scan_at_init = 1
    (eight.folder / "proc/driver/nvidia/gpus").mkdir(parents=True)
    async with watching(eight.backend()) as inventories:
        await anext(inventories)
        eight.add(8)
        (eight.folder / "proc/driver/nvidia/gpus/0000:18:00.0").mkdir()
        await until(inventories, lambda inventory: len(inventory.devices) == 9)


async def test_a_gpu_that_is_unplugged_leaves(eight: NvmlHost) -> None:
    """Its slot is empty, so it is not merely out of order."""
    slot = eight.plug(7)
    async with watching(eight.backend()) as inventories:
        await anext(inventories)
        eight.state.gpus[7].present = 0
        slot.unlink()
        left = await until(inventories, lambda inventory: len(inventory.devices) == 7)
    assert reasons(left) == {}


async def test_slices_that_are_made_and_destroyed_are_noticed(eight: NvmlHost) -> None:
    """MIG is configured while the agent runs."""
    async with watching(eight.backend(migStrategy="mixed")) as inventories:
        await anext(inventories)
        eight.cut(0, "3g.20gb", "1g.5gb")
        await until(inventories, lambda inventory: slice_uuid(0, 1) in inventory.devices)
        eight.cut(0, "7g.40gb")
        found = await until(inventories, lambda inventory: len(inventory.devices) == 8)
    assert found.devices[slice_uuid(0, 0)].resource == "nvidia.com/mig-7g.40gb"
    assert reasons(found) == {}


async def test_slices_reach_the_kubelet_as_they_change(eight: NvmlHost) -> None:
    """The GPU leaves its own resource."""
    async with served(eight, migStrategy="mixed") as play:
        await play.sick(of=8)
        eight.cut(0, "3g.20gb", "3g.20gb")
        await play.sick(of=2, resource="nvidia.com/mig-3g.20gb")
        await play.sick(of=7)


async def test_health_outlives_a_reload(eight: NvmlHost) -> None:
    """A new configuration cures nothing."""
    lasting = {"holdOffSeconds": 3600}
    first = eight.backend(health=lasting)
    async with watching(first) as inventories:
        await anext(inventories)
        eight.tell(2, 79)
        await until(inventories, lambda inventory: uuid(2) in reasons(inventory))
    async with watching(eight.backend(first.memory, health=lasting)) as inventories:
        assert {*reasons(await anext(inventories))} == {uuid(2)}


async def test_an_old_driver_serves_its_gpus(bare: NvmlHost, libraries: Path) -> None:
    """Without MIG, fabric and what else it has no functions for."""
    bare.library = compiled(libraries, "OLD_DRIVER")
    bare.add(0)
    bare.install("418.226.00")
    inventory = await bare.inventory()
    assert reasons(inventory) == {}
    assert inventory.devices[uuid(0)].attributes["migCapable"] is False


async def test_an_old_driver_is_asked_for_retired_pages(bare: NvmlHost, libraries: Path) -> None:
    """GPUs of its time remap no rows."""
    bare.library = compiled(libraries, "OLD_DRIVER")
    bare.add(0).retired_pending = 1
    bare.install("418.226.00")
    assert reasons(await bare.inventory()) == {uuid(0): "retired memory pages wait for a reset"}


def test_a_driver_without_events_is_asked_for_them_once(bare: NvmlHost, libraries: Path) -> None:
    """And not over and over."""
    bare.library = compiled(libraries, "OLD_DRIVER")
    bare.add(0)
    bare.install("418.226.00")
    driver = NvmlDriver(bare.host.root, settings())
    driver.open()
    gpus = [driver.gpu(0)]
    assert driver.unheard(gpus) == gpus
    with pytest.raises(DriverError):
        driver.event(0.01)
    assert not driver.unheard(gpus)
    assert driver.event(0.01) is None
    driver.close()


async def test_a_library_that_cannot_be_unloaded_is_replaced(
    bare: NvmlHost, libraries: Path
) -> None:
    """At the very path of the old one, for which the process's loader would find the old one."""
    bare.library = compiled(libraries, stays=True)
    bare.add(0)
    bare.install("550.1")
    async with watching(bare.backend()) as inventories:
        await anext(inventories)
        bare.library = compiled(libraries, "NEWER")
        bare.install("550.1")
        await until(
            inventories,
            lambda inventory: inventory.devices[uuid(0)].attributes["driverVersion"] == "newer",
        )


@pytest.mark.parametrize(
    ("kind", "method"), [(Surveyor, "look"), (NvmlDriver, "event"), (HealthBook, "forget")]
)
async def test_an_error_that_nobody_expected_starts_the_backend_anew(
    eight: NvmlHost, monkeypatch: pytest.MonkeyPatch, kind: type, method: str
) -> None:
    """A thread that ended unheard would leave the devices as they are for ever."""

    def fail(*_: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(kind, method, fail)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        async with watching(eight.backend()) as inventories:
            await until(inventories, lambda _: False)
    monkeypatch.undo()
    assert len((await eight.inventory()).devices) == 8


async def test_a_gpu_that_returns_only_to_a_driver_opened_anew_is_noticed(
    eight: NvmlHost,
) -> None:
    """As after a reset of the bus: the driver in use would miss it for ever."""
    eight.state.scan_at_init = 1
    async with watching(eight.backend()) as inventories:
        await anext(inventories)
        eight.state.gpus[7].present = 0
        eight.install(NEW)
        gone = await until(inventories, lambda inventory: bool(reasons(inventory)))
        assert reasons(gone) == {uuid(7): "the driver does not list it"}
        eight.state.gpus[7].present = 1
        await until(inventories, lambda inventory: not reasons(inventory))


@pytest.mark.parametrize(
    ("subsystem", "devpath", "properties"),
    [
        ("pci", "/devices/pci0000:00/0000:18:00.0", {"PCI_ID": "10DE:20B0"}),
        ("module", "/module/nvidia", {}),
    ],
)
async def test_what_the_kernel_tells_asks_for_a_look(
    eight: NvmlHost, subsystem: str, devpath: str, properties: dict[str, str]
) -> None:
    """Of a GPU, or of the driver's module."""
    async with watching(eight.backend(health=RARELY)) as inventories:
        await anext(inventories)
        eight.add(8, nodes=False)
        event = Uevent("add", devpath, subsystem, "", properties)
        send_uevent(eight.folder / "uevents.sock", event)
        await until(inventories, lambda inventory: len(inventory.devices) == 9)


async def test_a_new_device_node_asks_for_a_look(eight: NvmlHost) -> None:
    """The driver makes it when it has taken a GPU."""
    async with watching(eight.backend(health=RARELY)) as inventories:
        await anext(inventories)
        eight.add(8)
        await until(inventories, lambda inventory: len(inventory.devices) == 9)
