"""The disks of a node that may hang or be full."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from chaos.truth import REMOTE, REMOTE_DIR, REMOTE_DISKS
from support.mounts import can_mount_in_namespace
from support.slow_files import SlowFiles, can_serve_files
from support.small_disk import small_disks

if TYPE_CHECKING:
    from chaos.world import World


def with_remote_disks(section: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a section of the custom backend with devices on a file system that may hang."""
    disks = [{"path": f"/{REMOTE_DIR}/disk*", "type": "file"}]
    more = {"name": REMOTE, "devices": disks}
    return {**section, "resources": [*section["resources"], more]}


FEATURES = "features.d"


@contextmanager
def disks_of(play: "World") -> Iterator[None]:
    """Give the world its own disks, as far as this process may mount them."""
    remote = play.agent.host_root / REMOTE_DIR
    remote.mkdir()
    with ExitStack() as stack:
        if can_serve_files():
            play.files = stack.enter_context(SlowFiles(remote, *REMOTE_DISKS))
        else:
            for name in REMOTE_DISKS:
                (remote / name).touch()
        if can_mount_in_namespace():
            places = play.agent.plugin_dir, play.folder / "cdi"
            play.disks = stack.enter_context(small_disks(*places))
            for name, place in (
                ("ledger", play.agent.plugin_dir.with_name("ledger")),
                ("features", play.agent.host_root / FEATURES),
            ):
                play.rooms[name] = stack.enter_context(small_disks(place))
        yield
