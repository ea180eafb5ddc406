"""What cards are called, by PCI vendor and device."""

from typing import Final

# Kernel, drivers/fpga/dfl-pci.c; every second number is that of the card's virtual functions.
_MODELS: Final = {
    "8086:09c4": "PAC-A10",
    "8086:09c5": "PAC-A10",
    "8086:0b2b": "PAC-D5005",
    "8086:0b2c": "PAC-D5005",
    "8086:0b30": "PAC-N3000",
    "8086:0b31": "PAC-N3000",
    "8086:bcbd": "MCP-A10",
    "8086:bcbf": "MCP-A10",
    "8086:bcc0": "MCP-A10",
    "8086:bcc1": "MCP-A10",
    "8086:bcce": "DFL",
    "8086:bccf": "DFL",
    "1c2c:1000": "PAC-N5010",
    "1c2c:1001": "PAC-N5011",
}


def is_known(pci_id: str) -> bool:
    """Whether the kernel's driver is made for these numbers."""
    return pci_id in _MODELS


def model(pci_id: str) -> str:
    """Return the name of a card, or the numbers themselves for one not known."""
    return _MODELS.get(pci_id, pci_id)
