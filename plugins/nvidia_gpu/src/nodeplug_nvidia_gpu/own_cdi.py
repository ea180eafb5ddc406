"""CDI specifications of our own, where the host has none for its GPUs."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from nodeplug.backend import HostFile
from nodeplug_nvidia_gpu.driver_files import Bind
from nodeplug_nvidia_gpu.injection import OWN_VENDOR, Injection, nodes_of
from nodeplug_nvidia_gpu.settings import NvidiaGpuSettings
from nodeplug_nvidia_gpu.surroundings import Surroundings, channel
from nodeplug_nvidia_gpu.units import Unit

# The oldest version with hostPath; older container runtimes refuse files of newer ones.
_VERSION: Final = "0.5.0"
# A container that gets devices by CDI must not get more by the legacy way.
_VOID: Final = "NVIDIA_VISIBLE_DEVICES=void"

Edits = dict[str, Any]


class OwnSpecs:
    """Writes what NVIDIA's plugin writes, at its place, so that no two files name one device."""

    def __init__(self, settings: NvidiaGpuSettings, injection: Injection) -> None:
        self._settings = settings
        self._injection = injection

    def files(self, units: Sequence[Unit], around: Surroundings) -> list[HostFile]:
        """Return the files for devices that no specification on the host knows."""
        if not self._injection.by_cdi:
            return []
        names = ((self._injection.name_of(unit), unit) for unit in units)
        gpus = {name: self._gpu(unit, around) for name, unit in names if name not in around.cdi}
        found = [self._file("gpu", gpus, self._common(around))]
        channels = {str(n): self._edits([channel(n)]) for n in around.channels}
        found.append(self._file("imex-channel", channels, {"env": [_VOID]}))
        for name, more in around.further.items():
            edits = self._edits(more.nodes) | _mounts(more.mounts)
            found.append(self._file(name, {"all": edits} if more.nodes else {}, {}))
        return [file for file in found if file is not None]

    def _gpu(self, unit: Unit, around: Surroundings) -> Edits:
        return self._edits(nodes_of(unit, around))

    def _common(self, around: Surroundings) -> Edits:
        edits = {"env": [_VOID], **self._edits(around.control), **_mounts(around.mounts)}
        libraries = [inner for _, inner in around.mounts if ".so" in inner]
        if cuda := next((each for each in libraries if each.endswith("/libcuda.so.1")), ""):
            edits["env"] = [_VOID, f"NVIDIA_CTK_LIBCUDA_DIR={cuda.rpartition('/')[0]}"]
        if around.hook and libraries:
            edits["hooks"] = [*_hooks(around.hook, libraries, cuda)]
        return edits

    def _edits(self, nodes: Iterable[str]) -> Edits:
        root = self._settings.nodes_root
        found = [
            {"path": node, "hostPath": root + node, "permissions": "rw"}
            if root
            else {"path": node, "permissions": "rw"}
            for node in nodes
        ]
        return {"deviceNodes": found} if found else {}

    def _file(self, name: str, devices: Mapping[str, Edits], common: Edits) -> HostFile | None:
        entries = [{"name": key, "containerEdits": edits} for key, edits in _full(devices)]
        if not entries:
            return None
        spec: Edits = {"cdiVersion": _VERSION, "kind": f"{OWN_VENDOR}/{name}", "devices": entries}
        if common:
            spec["containerEdits"] = common
        folder = self._settings.cdi.spec_dirs[-1]
        data = json.dumps(spec, indent=1).encode()
        return HostFile(f"{folder}/{OWN_VENDOR}-{name}.json", data)


def _hooks(program: str, libraries: Sequence[str], cuda: str) -> Iterator[Edits]:
    """Yield what the container toolkit has to do: links first, which the cache then has, too."""
    name = program.rpartition("/")[2]
    # NVIDIA container toolkit: `nvidia-ctk` has the hooks below a sub-command.
    words = [name, "hook"] if name.startswith("nvidia-ctk") else [name]
    plain = cuda.removesuffix(".1")
    if cuda and plain not in libraries:
        link = ["create-symlinks", "--link", f"libcuda.so.1::{plain}"]
        yield {"hookName": "createContainer", "path": program, "args": [*words, *link]}
    folders = sorted({library.rpartition("/")[0] for library in libraries})
    cache = ["update-ldcache", *(part for folder in folders for part in ("--folder", folder))]
    yield {"hookName": "createContainer", "path": program, "args": [*words, *cache]}


def _full(devices: Mapping[str, Edits]) -> Iterator[tuple[str, Edits]]:
    """Return what has edits: runtimes refuse entries without."""
    yield from ((name, edits) for name, edits in sorted(devices.items()) if edits)


def _mounts(binds: Sequence[Bind]) -> Edits:
    options = ["ro", "nosuid", "nodev", "rbind", "rprivate"]
    found = [
        {"hostPath": outer, "containerPath": inner, "options": options} for outer, inner in binds
    ]
    return {"mounts": found} if found else {}
