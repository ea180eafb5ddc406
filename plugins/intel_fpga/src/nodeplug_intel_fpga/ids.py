"""The 128-bit ids of accelerator functions (AFUs) and of interfaces, and resource names of them."""

from binascii import b2a_base64
from typing import Final

DOMAIN: Final = "fpga.intel.com"

_DIGITS: Final = frozenset("0123456789abcdef")
_LENGTH: Final = 32
# What a register reads when the card does not answer, or when no AFU is there to answer.
_NOBODY: Final = "f" * _LENGTH
_NOTHING: Final = "0" * _LENGTH


def good_id(text: str | None) -> str:
    """Return an id in lower case, or "" for none: missing, all ones or zeros, or other text."""
    digits = (text or "").lower()
    return digits if is_id(digits) and digits not in {_NOBODY, _NOTHING} else ""


def is_id(text: str) -> bool:
    """Whether the text is 32 lower-case hexadecimal digits."""
    return len(text) == _LENGTH and _DIGITS.issuperset(text)


def reads_ones(text: str | None) -> bool:
    """Whether an id is what reads where nobody answers."""
    return text is not None and text.lower() == _NOBODY


def why_bad(text: str | None) -> str:
    """Return what is wrong with a text that is no good id, fit for a log line."""
    if text is None:
        return "cannot be read"
    if reads_ones(text):
        return "reads all ones"
    if text == _NOTHING:
        return "reads all zeros"
    return f"reads {text[:40]!a}, which is no id"


def af_resource(interface: str, afu: str) -> str:
    """Return the name for ports with this AFU, as Intel's own plugin has it.

    The first digits are for people; the rest is both ids as 32 bytes in base64 for URLs, unpadded.
    """
    raw = b2a_base64(bytes.fromhex(interface + afu), newline=False)
    text = raw.translate(bytes.maketrans(b"+/", b"-_")).rstrip(b"=").decode()
    return f"{DOMAIN}/af-{interface[:3]}.{afu[:3]}.{text}"


def region_resource(interface: str) -> str:
    """Return the name for regions with this interface, as Intel's own plugin has it."""
    return f"{DOMAIN}/region-{interface}"
