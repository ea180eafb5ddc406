"""A command of ours in a container of runc, without a capability, on a root that is read-only."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.needs import require
from support.repository import ROOT

_RUNC = shutil.which("runc", path=f"{os.environ['PATH']}:/usr/sbin") or "runc"
_SYSTEM = ("/usr", "/bin", "/lib", "/lib64")


def in_container(
    folder: Path,
    arguments: Sequence[str],
    *,
    mounts: Mapping[str, Path] | None = None,
    nodes: Sequence[dict[str, Any]] = (),
    rules: Sequence[dict[str, Any]] = (),
) -> subprocess.CompletedProcess[str]:
    """Run it to its end; `mounts` are folders by their place in the container.

    `folder` is empty, and its name is that of no other container.
    """
    require(shutil.which(_RUNC) is not None, "there is no runc")
    require(os.geteuid() == 0, "containers are made by root")
    (folder / "rootfs").mkdir()
    ours = [each for each in _SYSTEM if Path(each).exists()]
    ours += dict.fromkeys([sys.base_prefix, sys.prefix, str(ROOT)])
    document = {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": [sys.executable, "-m", "nodeplug", *arguments],
            "env": ["PATH=/usr/bin", "PYTHONDONTWRITEBYTECODE=1"],
            "cwd": "/",
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            *(_bind(Path(each), each, "ro") for each in ours),
            *(_bind(source, place, "rw") for place, source in (mounts or {}).items()),
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "mount", "network")],
            "devices": [*nodes],
            "resources": {"devices": [{"allow": False, "access": "rwm"}, *rules]},
        },
    }
    (folder / "config.json").write_text(json.dumps(document))
    command = (_RUNC, "run", "--bundle", str(folder), folder.name)
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _bind(source: Path, place: str, mode: str) -> dict[str, Any]:
    options = ["rbind", "rprivate", mode]
    return {"destination": place, "type": "bind", "source": str(source), "options": options}
