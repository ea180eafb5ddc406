"""A container of a chart, run by runc as a kubelet would have it run.

The root file system has this machine's Python in the place of an image. Folders of the host are
stood in for, but for /dev and /sys. The seccomp profile of a runtime is not there.
"""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.charts import Manifest, only, pod_spec
from support.needs import require
from support.repository import ROOT

_REAL = {"/dev", "/sys"}
_RUNC = shutil.which("runc", path=f"{os.environ['PATH']}:/usr/sbin") or "runc"
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")


class Container:
    """The one container of a chart's one DaemonSet, and its folders of the host."""

    def __init__(self, manifests: list[Manifest], folder: Path) -> None:
        self._spec = pod_spec(only(manifests, "DaemonSet"))
        self._config = only(manifests, "ConfigMap")["data"]
        (self._container,) = self._spec["containers"]
        self._folder = folder
        self._name = folder.name
        self.port: int = self._container["ports"][0]["containerPort"]

    def host(self, path: str) -> Path:
        """Return what stands in for a folder of the host; paths of sockets must be short."""
        names = sorted(mount["mountPath"] for mount in self._container["volumeMounts"])
        return Path(path) if path in _REAL else self._folder / str(names.index(path))

    def bundle(self) -> None:
        """Write what runc reads."""
        (self._folder / "rootfs/etc").mkdir(parents=True)
        shutil.copy("/etc/ld.so.cache", self._folder / "rootfs/etc")
        (self._folder / "end").touch()
        security = self._container["securityContext"]
        added = [f"CAP_{name}" for name in security["capabilities"].get("add", [])]
        process = {
            "user": {"uid": security["runAsUser"], "gid": security["runAsGroup"]},
            "args": [sys.executable, "-m", "nodeplug", *self._container["args"]],
            "env": ["PATH=/usr/bin", "PYTHONDONTWRITEBYTECODE=1", "NODE_NAME=node-1"],
            "cwd": "/",
            "capabilities": dict.fromkeys(_SETS, added),
            "noNewPrivileges": not security["allowPrivilegeEscalation"],
        }
        root = {"path": "rootfs", "readonly": security["readOnlyRootFilesystem"]}
        kinds = ["pid", "mount", "ipc", "uts"]
        kinds += [] if self._spec.get("hostNetwork") else ["network"]
        document = {
            "ociVersion": "1.0.2",
            "process": process,
            "root": root,
            "mounts": list(self._mounts()),
            "linux": {"namespaces": [{"type": kind} for kind in kinds]},
        }
        (self._folder / "config.json").write_text(json.dumps(document))

    def _mounts(self) -> Iterator[dict[str, Any]]:
        yield {"destination": "/proc", "type": "proc", "source": "proc"}
        yield {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]}
        yield {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}
        for path in dict.fromkeys([*_SYSTEM, sys.base_prefix, sys.prefix, str(ROOT)]):
            if Path(path).exists():
                yield _bind(path, path, read_only=True)
        yield _bind(self._folder / "end", self._container["terminationMessagePath"])
        volumes = {volume["name"]: volume for volume in self._spec["volumes"]}
        for mount in self._container["volumeMounts"]:
            source = self.host(mount["mountPath"])
            source.mkdir(exist_ok=True)
            if "configMap" in volumes[mount["name"]]:
                exchange(source, self._config)
            yield _bind(source, mount["mountPath"], read_only=mount.get("readOnly", False))

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run it; the body begins when it serves metrics. It must end in order at SIGTERM."""
        command = (_RUNC, "run", "--bundle", str(self._folder), self._name)
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        lines: list[str] = []
        try:
            await self._until("serving metrics", process, lines)
            yield
        finally:
            await _runc("kill", self._name, "TERM")
            rest, _ = await process.communicate()
            await _runc("delete", "--force", self._name)
        assert process.returncode == 0, "".join([*lines, rest.decode()])

    async def _until(
        self, event: str, process: asyncio.subprocess.Process, lines: list[str]
    ) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            lines.append(line.decode())
            if event in lines[-1]:
                return
        raise AssertionError("".join(lines))

    async def page(self, path: str) -> tuple[int, str]:
        """Return what the agent answers to a probe, asked from within its network."""
        code = (
            "import sys, http.client as h; c = h.HTTPConnection('127.0.0.1', int(sys.argv[1])); "
            "c.request('GET', sys.argv[2]); r = c.getresponse(); print(r.status, r.read().decode())"
        )
        arguments = (self._name, sys.executable, "-c", code, str(self.port), path)
        status, _, text = (await _runc("exec", *arguments)).partition(" ")
        return int(status), text.strip()


def exchange(folder: Path, files: dict[str, str]) -> None:
    """Put files into a folder as the kubelet does with a ConfigMap: all at once, by a link."""
    version = Path(tempfile.mkdtemp(prefix="..", dir=folder))
    for name, text in files.items():
        (version / name).write_text(text)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..data_tmp").symlink_to(version.name)
    (folder / "..data_tmp").rename(folder / "..data")


def _bind(source: Path | str, path: str, *, read_only: bool = False) -> dict[str, Any]:
    options = ["rbind", "rprivate", "ro" if read_only else "rw"]
    return {"destination": path, "type": "bind", "source": str(source), "options": options}


async def _runc(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        _RUNC, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return out.decode()


@asynccontextmanager
async def contained(manifests: list[Manifest]) -> AsyncGenerator[Container]:
    """Have a container ready to run; nothing of it stays."""
    require(shutil.which(_RUNC) is not None, "there is no runc")
    require(os.geteuid() == 0, "containers are made by root")
    folder = Path(tempfile.mkdtemp(prefix="npc", dir="/tmp"))
    try:
        container = Container(manifests, folder)
        container.bundle()
        yield container
    finally:
        shutil.rmtree(folder)
