"""Where the host's file trees are, as this process sees them."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

# The limit of the Linux kernel on symbolic links in one look-up (path_resolution(7)).
_LINK_LIMIT = 40


@dataclass(frozen=True, slots=True)
class HostRoot:
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
        """Return where this process finds an absolute path of the host."""
        return self.root / host_path.lstrip("/")

    def to_host(self, path: Path) -> str:
        """Return the host path of a path below `root`; raise ValueError for any other."""
        return "/" + str(path.relative_to(self.root)).removeprefix(".")

    def resolve(self, host_path: str) -> str:
        """Return the host path with every symbolic link followed as the host would follow it.

        Links never lead out of `root`. What does not exist stays as written. A loop raises
        OSError (ELOOP).
        """
        done: list[str] = []
        todo = [part for part in reversed(host_path.split("/")) if part]
        links = 0
        while todo:
            part = todo.pop()
            if part in {".", ".."}:
                done = done[:-1] if part == ".." else done
                continue
            target = self._link("/" + "/".join([*done, part]))
            if target is None:
                done.append(part)
                continue
            links += 1
            if links > _LINK_LIMIT:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), host_path)
            done = [] if target.startswith("/") else done
            todo += [step for step in reversed(target.split("/")) if step]
        return "/" + "/".join(done)

    def _link(self, host_path: str) -> str | None:
        try:
            return str(self.path(host_path).readlink())
        except OSError:
            return None
