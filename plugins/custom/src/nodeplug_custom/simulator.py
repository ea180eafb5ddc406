"""Simulated hardware: device nodes in a folder that stands for the host's root."""

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from nodeplug.host.nodes import node_type
from nodeplug_custom.ids import id_of

# Linux, Documentation/admin-guide/devices.txt: majors 60 to 63 are nobody's, who opens one gets
# ENXIO. Of one number they would be one device.
_MAJOR: Final = 60
_DEVICES: Final = 4


class CustomSimulator:
    """Four devices `/dev/custom-device-<n>`, and a directory for containers to mount.

    The devices are true character devices where this process may make them, else plain files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "dev").mkdir(exist_ok=True)
        (folder / "etc/custom-device").mkdir(parents=True, exist_ok=True)
        self.recover()

    @property
    def resource(self) -> str:
        """The one resource."""
        return "example.com/custom-device"

    @property
    def settings(self) -> Mapping[str, Any]:
        """The classic tutorial plugin, by configuration alone."""
        kind = node_type(self._folder / self._path(0)[1:])
        mount = {"hostPath": "/etc/custom-device", "containerPath": "/etc/custom-device"}
        return {
            "reconcileSeconds": 0,
            "resources": [
                {
                    "name": self.resource,
                    "devices": [{"path": "/dev/custom-device-*", "type": kind}],
                    "env": {"CUSTOM_DEVICE_ID": "{id}", "CUSTOM_DEVICE_PATH": "{path}"},
                    "mounts": [mount],
                }
            ],
        }

    def lose(self) -> str:
        """Remove a node, as the kernel does with a device that is unplugged."""
        path = self._path(1)
        (self._folder / path[1:]).unlink()
        return id_of(path)

    def recover(self) -> None:
        """Make the node again."""
        for number in range(_DEVICES):
            self._make(self._path(number), os.makedev(_MAJOR, number))

    def _path(self, number: int) -> str:
        return f"/dev/custom-device-{number}"

    def _make(self, path: str, device: int) -> None:
        file = self._folder / path[1:]
        with suppress(FileExistsError):
            try:
                os.mknod(file, stat.S_IFCHR | 0o600, device)
            except PermissionError:
                file.touch(exist_ok=False)
