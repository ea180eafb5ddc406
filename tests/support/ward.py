"""A node that is examined by the doctor, with whatever fault a test gives it."""

import os
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodeplug.backend import Backend, BackendSpec, Finding, Privilege
from nodeplug.config.load import Source, load_configuration
from nodeplug.host.host import Host
from nodeplug.operations.doctor.examination import examine
from nodeplug.operations.doctor.patient import Patient
from nodeplug.values.device import Device
from nodeplug.values.edits import ContainerEdits
from nodeplug.values.inventory import Inventory
from support.awkward.backend import SPEC
from support.command import write_config
from support.stage import SLICE, Stage, stage

if TYPE_CHECKING:
    from nodeplug.values.errors import LoadError

ALL_CAPABILITIES = (1 << 41) - 1


class Fixed:
    """A backend that finds what it was given."""

    def __init__(self, *devices: Device) -> None:
        self._devices = devices

    async def inventories(self) -> AsyncGenerator[Inventory, None]:
        yield Inventory.of(self._devices)

    async def allocate(self, _resource: str, _devices: Sequence[Device]) -> ContainerEdits:
        return ContainerEdits()


class Ward:
    """A stage, and what the doctor is told; `document` is the configuration file."""

    def __init__(self, play: Stage) -> None:
        self.play = play
        self.folder = play.directory.parent
        self.ledger = self.folder / "ledger"
        self.spec = SPEC
        self.broken: list[LoadError] = []
        self.node_name = "node"
        self.opened = AsyncExitStack()
        self.process = self._folder("process")
        self.account = self._folder("account")
        (self.account / "token").write_text("secret")
        self.document: dict[str, Any] = {
            "kubelet": {
                "devicePluginDir": str(play.directory),
                "podResourcesSocket": str(play.pod_resources),
            },
            "host": {"root": str(play.host.root), "ledgerDir": str(self.ledger)},
            "cdi": {"specDir": str(play.cdi_dir)},
            "metrics": {"enabled": False},
        }
        self.may(ALL_CAPABILITIES)
        self.mounts("1 0 0:1 / / rw shared:1 - ext4 /dev/root rw")
        (self._folder("process/ns") / "net").symlink_to("net:[1]")

    def _folder(self, name: str) -> Path:
        (self.folder / name).mkdir()
        return self.folder / name

    def may(self, capabilities: int) -> None:
        (self.process / "status").write_text(f"Name:\tx\nCapEff:\t{capabilities:016x}\n")

    def mounts(self, *lines: str, ledger: str = "tmpfs") -> None:
        lines = (*lines, f"9 1 0:9 / {self.ledger} rw - {ledger} {ledger} rw")
        (self.process / "mountinfo").write_text("".join(f"{line}\n" for line in lines))

    def need(self, **needs: Any) -> None:
        """Let the backend have one privilege in its table."""
        privilege = Privilege(feature="lamps", reason="they are dark", **needs)
        self.spec = replace(self.spec, privileges=[privilege])

    def find(self, *devices: Device) -> None:
        """Let the backend find these devices and no others."""

        def build(_settings: object, _host: Host, _previous: Backend | None) -> Backend:
            return Fixed(*devices)

        self.spec = replace(self.spec, build=build)

    def file(self, host_path: str, text: str = "") -> None:
        path = self.play.host.path(host_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def listen(self, path: Path) -> None:
        """Bind a socket on which connections are never accepted."""
        listener = self.opened.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        listener.listen()

    async def examine(self, seconds: float = 8) -> list[Finding]:
        specs: dict[str, BackendSpec] = {self.spec.name: self.spec}
        file = Source(write_config(self.folder, self.document))
        configuration = load_configuration([file], specs)
        patient = Patient(
            specs=specs,
            broken=self.broken,
            configuration=configuration,
            node_name=self.node_name,
            process=self.process,
            account=self.account,
        )
        return await examine(patient, seconds)


@asynccontextmanager
async def ward(*, agents: int = 1) -> AsyncGenerator[Ward, None]:
    async with stage(agents=agents) as play:
        if agents:
            await play.listed(SLICE, allocatable=8)
        patient = Ward(play)
        async with patient.opened:
            yield patient


def dead_socket(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    assert os.path.lexists(path)
