"""Stable ids from host paths."""

import re
from typing import Final

from nodeplug.values.device import ID_LIMIT

# Two steps or more of characters that an id can hold; ":" is kept for the borders between steps.
_PLAIN: Final = re.compile(r"(/[A-Za-z0-9_.-]+){2,}")
_ENDS: Final = re.compile(r"[A-Za-z0-9](.*[A-Za-z0-9])?")
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.]+")
_WORDS: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?")
_UNFIT_WORDS: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_HASH_BYTES: Final = 8


def id_of(path: str) -> str:
    """Return the id of a host path: the same at every start, another for every other path.

    "/dev/fuse" is "dev:fuse". A path that is too long for an id, or has other characters, gets a
    readable rest of itself and a hash; such an id has no ":", so the two kinds never meet.
    """
    plain = path[1:].replace("/", ":")
    if len(plain) <= ID_LIMIT and _PLAIN.fullmatch(path) and _ENDS.fullmatch(plain):
        return plain
    digest = _digest(path)
    words = _UNFIT.sub("-", path).strip("-_.")[: ID_LIMIT - len(digest) - 1]
    return f"{words}-{digest}" if words else f"path-{digest}"


def id_of_hardware(*words: str) -> str:
    """Return an id made of words that may be a stranger's: the same words give the same id.

    Words that an id cannot hold, or too many of them, are shortened and get a hash.
    """
    text = "-".join(word for word in words if word)
    if len(text) <= ID_LIMIT and _WORDS.fullmatch(text) and "::" not in text:
        return text
    digest = _digest(text)
    kept = _UNFIT_WORDS.sub("-", text).strip("-_.:")[: ID_LIMIT - len(digest) - 1]
    return f"{kept.rstrip('-_.:')}-{digest}"


def _digest(path: str) -> str:
    # Loading hashlib loads OpenSSL, 0.7 MiB that hosts with plain names do not spend.
    from hashlib import blake2b  # noqa: PLC0415

    return blake2b(path.encode(errors="surrogateescape"), digest_size=_HASH_BYTES).hexdigest()
