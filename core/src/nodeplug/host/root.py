"""Where the host's file trees are, as this process sees them."""

import errno
import os
from contextlib import suppress
from pathlib import Path

import msgspec

# The limit of the Linux kernel on symbolic links in one look-up (path_resolution(7)).
_LINK_LIMIT = 40


class HostRoot(msgspec.Struct, frozen=True):
    """The host's root directory as this process sees it: "/" unless mounted elsewhere.

    Host paths are strings and are what containers, CDI and the kubelet get. Paths that this
    process opens are `Path` objects below `root`.
    """

    root: Path = Path("/")

    @property
    def dev(self) -> Path:
        """The host's /dev."""
        return self.root / "dev"

    @property
    def sys(self) -> Path:
        """The host's /sys."""
        return self.root / "sys"

    @property
    def proc(self) -> Path:
        """The host's /proc."""
        return self.root / "proc"

    @property
    def run(self) -> Path:
        """The host's /run."""
        return self.root / "run"

    def path(self, host_path: str) -> Path:
        """Return where this process finds an absolute path of the host.

        Opening it follows symbolic links as this process sees them, which is wrong for absolute
        links where `root` is not "/": give it what `resolve` returned. A path with a ".." step
        raises ValueError: it could lead out of `root`.
        """
        if ".." in host_path.split("/"):
            raise ValueError(f"host path with a '..' step: {host_path!r}")
        return self.root / host_path.lstrip("/")

    def to_host(self, path: Path) -> str:
        """Return the host path of a path below `root`; raise ValueError for any other."""
        steps = path.relative_to(self.root).parts
        if ".." in steps:
            raise ValueError(f"path with a '..' step: {str(path)!r}")
        return "/" + "/".join(steps)

    def resolve(self, host_path: str) -> str:
        """Return the host path with every symbolic link followed as the host would follow it.

        Links and ".." steps never lead out of `root`. What does not exist stays as written. A
        loop raises OSError (ELOOP).
        """
        done: list[str] = []
        todo = _steps(host_path)
        links = 0
        while todo:
            step = todo.pop()
            if step == "..":
                done = done[:-1]
                continue
            target = self._link([*done, step])
            if target is None:
                done.append(step)
                continue
            links += 1
            if links > _LINK_LIMIT:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), host_path)
            done = [] if target.startswith("/") else done
            todo += _steps(target)
        return "/" + "/".join(done)

    def find(self, host_path: str) -> Path:
        """Return what this process opens for a path of the host: links lead where the host has it.

        Opening one in a loop of links raises OSError (ELOOP).
        """
        with suppress(OSError):
            host_path = self.resolve(host_path)
        return self.path(host_path)

    def _link(self, steps: list[str]) -> str | None:
        try:
            place = "/".join((str(self.root).rstrip("/"), *steps))
            return os.readlink(place)  # noqa: PTH115 - far quicker
        except (OSError, ValueError):
            return None


def _steps(path: str) -> list[str]:
    """Return the steps of a path, last first."""
    return [step for step in reversed(path.split("/")) if step not in {"", "."}]
