"""Programming against a stand-in for the kernel's driver, in a process that has it preloaded."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec

from nodeplug.host.host import open_host
from nodeplug.values.errors import AllocationRefusedError
from nodeplug_intel_fpga import backend as backend_module
from nodeplug_intel_fpga.backend import FpgaBackend
from nodeplug_intel_fpga.settings import FpgaSettings
from nodeplug_intel_fpga.simulated_cards import Card
from support.bitstreams import gbs, metadata
from support.fpga_host import INTERFACE, OTHER_AFU, FpgaHost
from support.needs import require

RESOURCE = "example.com/crypto"
BITSTREAM = "/srv/crypto.gbs"
HEADER = Path("/usr/include/linux/fpga-dfl.h")
SOURCE = Path(__file__).with_name("fpga_driver.c")


def image(afu: str = OTHER_AFU) -> bytes:
    """Return an image for the stand-in: it begins with the AFU that is in it."""
    return afu.encode() + b" and gates" * 1000


def bitstream(afu: str = OTHER_AFU, interface: str = INTERFACE) -> bytes:
    return gbs(metadata(interface, afu), image(afu))


def compile_driver(folder: Path) -> Path:
    """Return the stand-in as a library."""
    compiler = shutil.which("cc")
    require(compiler is not None and HEADER.exists(), "cc or linux-libc-dev is missing")
    library = folder / "fpga_driver.so"
    options = ("-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library))
    subprocess.run([str(compiler), *options, str(SOURCE), "-ldl"], check=True)
    return library


class Driver:
    """The stand-in, for the cards of a host; `folder` says how it fares and what it got."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.folder = folder / "driver"
        self.folder.mkdir()
        self._library = library

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "FPGA_DRIVER": str(self.folder)}

    def drive(self, card: Card) -> None:
        for number, port in enumerate(card.ports):
            (self.folder / f"port{number}").symlink_to(port.folder / "afu_id")

    @property
    def requests(self) -> list[str]:
        """The ports of all requests, in order of their numbers."""
        file = self.folder / "requests"
        return sorted(file.read_text().split()) if file.exists() else []

    def got(self, port: int = 0) -> bytes | None:
        """Return the image that a port got, or None."""
        file = self.folder / f"image{port}"
        return file.read_bytes() if file.exists() else None


def section(fake: FpgaHost, data: bytes | None, **values: Any) -> dict[str, Any]:
    """Write a bitstream, and return settings of a resource that wants it."""
    if data is not None:
        (fake.folder / "srv").mkdir(exist_ok=True)
        (fake.folder / BITSTREAM[1:]).write_bytes(data)
    entry = {
        "name": RESOURCE,
        "interface": INTERFACE,
        "afu": OTHER_AFU,
        "bitstream": BITSTREAM,
        "sha256": hashlib.sha256(data or b"").hexdigest(),
    }
    ignore = [] if fake.cards.nodes else ["node"]
    return {"programming": [entry | values], "health": {"ignore": ignore}}


def prepare(
    fake: FpgaHost,
    driver: Driver,
    settings: Mapping[str, Any],
    *requests: Sequence[str],
    seconds: float = 24.0,
) -> list[str]:
    """Prepare sets of devices at the same time; return what is said of each, "" for success."""
    arguments = [str(fake.folder), json.dumps([settings, requests, seconds])]
    done = subprocess.run(
        [sys.executable, "-m", "support.fpga_programming", *arguments],
        env=os.environ | driver.environment | {"PYTHONPATH": str(Path(__file__).parents[1])},
        check=True,
        stdout=subprocess.PIPE,
    )
    said: list[str] = json.loads(done.stdout)
    return said


async def _prepare(
    folder: str, settings: Mapping[str, Any], requests: Sequence[Sequence[str]], seconds: float
) -> list[str]:
    backend_module._PROGRAM_SECONDS = seconds  # type: ignore[misc]
    host = open_host(folder, f"{folder}/uevents.sock")
    backend = FpgaBackend(msgspec.convert(settings, FpgaSettings), host, None)
    async with aclosing(backend.inventories()) as inventories:
        inventory = await anext(inventories)

        async def one(ids: Sequence[str]) -> str:
            try:
                await backend.prepare(RESOURCE, [inventory.devices[each] for each in ids])
            except AllocationRefusedError as error:
                return str(error)
            return ""

        return [*await asyncio.gather(*map(one, requests))]


if __name__ == "__main__":
    given, wanted = sys.argv[1:]
    print(json.dumps(asyncio.run(_prepare(given, *json.loads(wanted)))))  # noqa: T201
