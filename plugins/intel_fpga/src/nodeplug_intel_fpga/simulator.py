"""Simulated hardware: cards of both drivers, with several ports, regions, virtual functions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from nodeplug.host.socket_uevents import send_uevent
from nodeplug.host.uevents import Uevent
from nodeplug_intel_fpga.ids import af_resource
from nodeplug_intel_fpga.layouts import DFL, OPAE
from nodeplug_intel_fpga.simulated_cards import Card, Cards

# The PAC with Arria 10 and its loopback example, as Intel shipped them.
A10: Final = "69528db6eb31577a8c3668f9faa081f6"
LOOPBACK: Final = "d8424dc4a4a3c413f89e433683f9040b"
# Made up.
S10: Final = "9346116d a52d 4ca8 b06a a9a389ef7c8d".replace(" ", "")
FILTER: Final = "56e203e9 864f 49a7 b94b 12284c31e02b".replace(" ", "")
_NOBODY: Final = "f" * 32


class FpgaSimulator:
    """Four cards, six ports, of which four have the loopback AFU loaded.

    A PAC with Arria 10 under each driver, one with its two ports given to virtual functions, and a
    PAC with Stratix 10 with two ports in two regions.
    """

    def __init__(self, folder: Path) -> None:
        self._events = folder / "uevents.sock"
        cards = Cards(folder)
        self._first = cards.add(DFL, "0000:e1:00.0", interfaces=[A10], afus={0: LOOPBACK})
        s10 = ("0x8086", "0x0b2b")
        two = {0: FILTER, 1: FILTER}
        cards.add(DFL, "0000:e2:00.0", ids=s10, interfaces=[S10, S10], afus=two)
        shared = cards.add(DFL, "0000:e3:00.0", interfaces=[A10, A10], afus={})
        cards.add_virtual(DFL, "0000:e3:00.1", shared, afus={0: LOOPBACK})
        cards.add_virtual(DFL, "0000:e3:00.2", shared, afus={1: LOOPBACK})
        cards.add(OPAE, "0000:e4:00.0", interfaces=[A10], afus={0: LOOPBACK})
        self._nodes = cards.nodes

    @property
    def resource(self) -> str:
        """Ports with the loopback AFU."""
        return af_resource(A10, LOOPBACK)

    @property
    def settings(self) -> Mapping[str, object]:
        """The defaults, but for device nodes that an ordinary user cannot make."""
        return {} if self._nodes else {"health": {"ignore": ["node"]}}

    def lose(self) -> str:
        """Let a card have an error: its registers read all ones."""
        self._first.ports[0].load(_NOBODY)
        self._tell(self._first, "BEGIN_RECOVERY")
        return f"fpga-{self._first.address}-port0"

    def recover(self) -> None:
        """Let the card answer again."""
        self._first.ports[0].load(LOOPBACK)
        self._tell(self._first, "SUCCESSFUL_RECOVERY")

    def _tell(self, card: Card, state: str) -> None:
        devpath = "/" + "/".join(card.folder.parts[card.folder.parts.index("devices") :])
        properties = {"PCI_CLASS": "120000", "ERROR_EVENT": state}
        send_uevent(self._events, Uevent("change", devpath, "pci", "", properties))
