"""For each backend a host with a device that can hang, and another one that comes and goes."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from nodeplug.host.socket_uevents import send_uevent
from nodeplug.host.uevents import Uevent
from nodeplug_sriov_net.adapters import address_of, function_place, mellanox_adapter
from support.custom_host import RESOURCE
from support.fpga_host import ADDRESS, AF, AFU, FIRST, NOBODY, FpgaHost
from support.hardware_tree import HardwareTree
from support.needs import require
from support.nvml_host import GPU, NvmlHost, uuid
from support.nvml_library import compiled
from support.nvml_state import LOST
from support.slow_files import SlowFile, SlowFiles, can_serve_files
from support.sriov_host import POOL, FakeHost

PORT = "/devices/platform/port"
HUNG, OTHER = function_place(0, 0), function_place(0, 1)
# NVML: what the driver cannot answer without the GPU.
ASK_THE_GPU = ("MemoryInfo", "NvLinkState", "PowerUsage", "Temperature", "UtilizationRates")
OTHER_CARD = "0000:e2:00.0"


class Stage(NamedTuple):
    """What a backend serves: `hung` hangs after `hang`, `other` is well or sick by `turn`.

    `name` is what the former is called by the doctor and by the page of readiness.
    """

    section: Mapping[str, Any]
    resource: str
    hung: str
    other: str
    name: str
    hang: Callable[[], None]
    go_on: Callable[[], None]
    turn: Callable[[bool], None]


@contextmanager
def custom(root: Path, _: Path) -> Iterator[Stage]:
    """Two ports, each with an attribute that says how it is; the first one's never answers."""
    tree = HardwareTree(root)
    ports = [tree.node(PORT, "tty", f"ttyX{number}", level="7") for number in range(2)]
    entry = {"udev": {"subsystem": "tty"}, "health": {"attributes": {"level": "7"}}}
    section = {"resources": [{"name": RESOURCE, "hardware": [entry]}]}

    def tell(devpath: str) -> None:
        send_uevent(tree.socket, Uevent("change", devpath, "tty", "", {}))

    def turn(well: bool) -> None:  # noqa: FBT001 - the one argument
        tree.write(ports[1], {"level": "7" if well else "0"})
        tell(ports[1])

    with _file(SlowFile(root / f"sys{ports[0]}/level", "7\n")) as file:
        hang = _then(file.hang, lambda: tell(ports[0]))
        ids = ("udev-ttyX0", "udev-ttyX1")
        yield Stage(section, RESOURCE, *ids, ids[0], hang, file.go_on, turn)


@contextmanager
def sriov_net(root: Path, _: Path) -> Iterator[Stage]:
    """Virtual functions; what the firmware of the first is asked for never comes."""
    tree = FakeHost(root).tree
    mellanox_adapter(tree, 0, functions=4)

    def turn(well: bool) -> None:  # noqa: FBT001 - the one argument
        tree.driver(OTHER, "mlx5_core" if well else "")
        tree.tell("bind" if well else "unbind", OTHER)

    keys = tree.path(f"/sys{HUNG}/infiniband/mlx5_0_1/ports/1/pkeys")
    with _file(SlowFiles(keys, "0")) as file:
        hang = _then(file.hang, lambda: tree.tell("change", HUNG))
        ids = (address_of(0, 0), address_of(0, 1))
        yield Stage({"pools": [{"name": POOL}]}, POOL, *ids, ids[0], hang, file.go_on, turn)


@contextmanager
def intel_fpga(root: Path, _: Path) -> Iterator[Stage]:
    """Two cards; a register of the first stands behind a lock, as while it is programmed."""
    fake = FpgaHost(root)
    card, other = fake.card(), fake.card(address=OTHER_CARD)
    section = {} if fake.cards.nodes else {"health": {"ignore": ["node"]}}

    def tell() -> None:
        send_uevent(fake.socket, Uevent("change", "/x", "pci", "", {"PCI_CLASS": "120000"}))

    def turn(well: bool) -> None:  # noqa: FBT001 - the one argument
        other.ports[0].load(AFU if well else NOBODY)
        tell()

    with _file(SlowFile(card.engine / "errors/fme_errors", "0x0\n")) as file:
        hang, well = _then(file.hang, tell), f"fpga-{OTHER_CARD}-port0"
        yield Stage(section, AF, FIRST, well, ADDRESS, hang, file.go_on, turn)


@contextmanager
def nvidia_gpu(root: Path, libraries: Path) -> Iterator[Stage]:
    """Eight GPUs, one of which no call of the driver comes back from.

    Another one is lost and found, which a look at the driver shows.
    """
    host = NvmlHost(root, compiled(libraries), 8)
    host.install()

    def tell() -> None:
        send_uevent(
            root / "uevents.sock", Uevent("change", "/x", "pci", "", {"PCI_ID": "10DE:20B0"})
        )

    def hang() -> None:
        for function in ASK_THE_GPU:
            host.fault(f"nvmlDeviceGet{function}", 3, hang=True)
        tell()

    def turn(well: bool) -> None:  # noqa: FBT001 - the one argument
        host.state.gpus[5].error = 0 if well else LOST
        tell()

    section = {"health": {"holdOffSeconds": 0}}
    try:
        yield Stage(section, GPU, uuid(3), uuid(5), "GPU 3", hang, host.go_on, turn)
    finally:
        host.close()


@contextmanager
def _file(files: SlowFiles) -> Iterator[SlowFiles]:
    require(can_serve_files(), "serving a file system needs root and /dev/fuse")
    with files:
        yield files


def _then(*calls: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        for call in calls:
            call()

    return run
