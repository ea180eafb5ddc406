"""What the awkward hardware does, kept in a file that both sides share."""

from pathlib import Path

import msgspec

from nodeplug.host.files import write_atomically
from nodeplug.host.root import HostRoot


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The whole truth about the simulated hardware.

    No device can be made of what is `odd`.
    `nodes` are host paths by device; all others have /dev/null. `places` are container paths by
    device; what is `contradicted` is wanted at the same place as another node. `spoilt` names a
    method that raises.
    """

    boards: int = 4
    extra: int = 0
    numa: bool = True
    sick: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()
    hang: bool = False
    fail: bool = False
    fault: str = ""
    crash: bool = False
    nodes: dict[str, str] = {}
    places: dict[str, str] = {}
    contradicted: str = ""
    spoilt: str = ""


def state_file(root: HostRoot) -> Path:
    return root.path("/awkward/state.json")


def write_state(root: HostRoot, state: State) -> None:
    state_file(root).parent.mkdir(exist_ok=True)
    write_atomically(state_file(root), msgspec.json.encode(state))


def read_state(root: HostRoot) -> State:
    try:
        return msgspec.json.decode(state_file(root).read_bytes(), type=State)
    except FileNotFoundError:
        return State(boards=0)
