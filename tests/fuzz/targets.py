"""Everything that reads foreign bytes, with input that is nearly right."""

import asyncio
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from fuzz import doors, hosts, netlink
from fuzz.bitstreams import mutated
from fuzz.engine import Feed, Target, refusal, spoilt
from fuzz.samples import CDI, CHECKPOINT, CONFIGURATION, PEERS, UEVENTS
from nodeplug.backend import BackendSpec
from nodeplug.cdi.store import nodes_of
from nodeplug.config.load import Source, load_configuration
from nodeplug.host.host import open_host
from nodeplug.host.uevent_text import parse
from nodeplug.kubelet.evidence import read_checkpoint
from nodeplug.loader import installed, load_each
from nodeplug.testing.patience import patience
from nodeplug.values.errors import ConfigError

SPECS = {n: s for n, s in load_each(installed()).items() if isinstance(s, BackendSpec)}
_LOOK_SECONDS = 20.0


def _documents(sample: Any, dice: random.Random) -> Iterator[bytes]:
    text = yaml.safe_dump(sample).encode()
    while True:
        yield json.dumps(spoilt(sample, dice)).encode()
        yield mutated(text, dice)


def _spoilt_bytes(samples: tuple[bytes, ...], dice: random.Random) -> Iterator[bytes]:
    while True:
        yield mutated(dice.choice(samples), dice)


@contextmanager
def _a_file(read: Callable[[Path], str]) -> Iterator[Feed]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "file.yaml"

        def feed(data: bytes) -> str:
            file.write_bytes(data)
            return read(file)

        yield feed


def _configuration(backend: str, file: Path) -> str:
    specs = {backend: SPECS[backend]} if backend else SPECS
    try:
        loaded = load_configuration([Source(file, backend)], specs)
    except ConfigError as error:
        return refusal(error)
    return " ".join(sorted({refusal(error) for error in loaded.errors})) or "taken"


def _checkpoint(file: Path) -> str:
    return "unreadable" if read_checkpoint(file).records is None else "read"


def _cdi(file: Path) -> str:
    file.replace(file.with_suffix(".json"))
    return f"{len(nodes_of(file.parent))} devices"


def _uevent(data: bytes) -> str:
    try:
        parse(data)
    except ValueError as error:
        return refusal(error)
    return "parsed"


@contextmanager
def _plain(feed: Feed) -> Iterator[Feed]:
    yield feed


@contextmanager
def _host(spec: BackendSpec) -> Iterator[Feed]:
    """Let the backend look at simulated hardware of which some files are spoilt.

    An input is the seed of what is spoilt.
    """
    with tempfile.TemporaryDirectory(prefix="npf", dir="/tmp") as folder:
        yield partial(_look_at_spoilt, spec, Path(folder))


def _look_at_spoilt(spec: BackendSpec, folder: Path, data: bytes) -> str:
    dice = random.Random(data)
    root = folder / "host"
    root.mkdir()
    try:
        settings = load_settings(spec, spec.simulator(root).settings)
        files = sorted(p for p in root.rglob("*") if p.is_file() or p.is_symlink())
        for path in dice.sample(files, min(len(files), dice.randint(1, 5))):
            _spoil_file(path, dice)
        healthy = asyncio.run(_look(spec, settings, root))
        return f"{healthy} healthy"
    finally:
        shutil.rmtree(root)


def load_settings(spec: BackendSpec, section: Any) -> Any:
    """Return a backend's settings as they would come from a file."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump({"backends": {spec.name: json.loads(json.dumps(section))}}, file)
        return load_configuration([Source(Path(file.name))], {spec.name: spec}).sections[spec.name]


async def _look(spec: BackendSpec, settings: Any, root: Path) -> int:
    host = open_host(str(root), str(root / "uevents.sock"))
    made = spec.build(settings, host, None)
    async with patience(_LOOK_SECONDS), aclosing(made.inventories()) as found:
        inventory = await anext(found)
    return sum(device.healthy for device in inventory.devices.values())


def _spoil_file(path: Path, dice: random.Random) -> None:
    content = b"" if path.is_symlink() else path.read_bytes()
    path.unlink()
    match dice.randrange(6):
        case 0:
            path.mkdir()
        case 1:
            path.symlink_to(dice.choice((path.name, "../../../..", "/nowhere", "/etc/passwd")))
        case 2:
            path.write_bytes(dice.randbytes(dice.choice((0, 1, 100, 5000))))
        case 3:
            pass
        case _:
            path.write_bytes(mutated(content or b"0x1\n", dice))


def _seeds(dice: random.Random) -> Iterator[bytes]:
    while True:
        yield dice.randbytes(8)


TARGETS = (
    Target(
        "configuration",
        partial(_documents, CONFIGURATION),
        partial(_a_file, partial(_configuration, "")),
    ),
    *(
        Target(
            f"peer's configuration for {name}",
            partial(_documents, PEERS[name]),
            partial(_a_file, partial(_configuration, name)),
        )
        for name, spec in SPECS.items()
        if spec.reader and name in PEERS
    ),
    Target(
        "kubelet's checkpoint",
        partial(_spoilt_bytes, (CHECKPOINT,)),
        partial(_a_file, _checkpoint),
    ),
    Target("CDI files of others", partial(_documents, CDI), partial(_a_file, _cdi)),
    Target("HTTP requests", doors.requests, doors.a_server),
    Target("annotation", doors.annotations, partial(_plain, doors.annotation)),
    Target("helpers without memory", doors.memories, doors.a_helper, doors.HELPER_SECONDS),
    Target("kernel events", partial(_spoilt_bytes, UEVENTS), partial(_plain, _uevent)),
    *(Target(f"hardware of {name}", _seeds, partial(_host, spec)) for name, spec in SPECS.items()),
    Target("hardware of custom, one odd", _seeds, partial(hosts.feed, hosts.cameras)),
    Target("hardware of intel_fpga, one odd", _seeds, partial(hosts.feed, hosts.cards)),
    Target("hardware of sriov_net, one odd", _seeds, partial(hosts.feed, hosts.adapters)),
    Target("hardware of nvidia_gpu, one odd", _seeds, hosts.feed_gpus),
    Target("netlink of sriov_net", netlink.packets, netlink.feed),
)
