"""Which devices the kubelet counts as healthy, as its checkpoint says."""

from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec


class _Data(msgspec.Struct):
    registered: dict[str, list[str] | None] | None = msgspec.field(name="RegisteredDevices")


class _Checkpoint(msgspec.Struct):
    data: _Data = msgspec.field(name="Data")


def read_registered(path: Path) -> Mapping[str, Collection[str]]:
    """Return healthy ids by resource, whoever serves it; nothing where the file is not usable.

    A resource whose plugin has ended stays for a while, without ids (R28).
    """
    try:
        data = msgspec.json.decode(path.read_bytes(), type=_Checkpoint).data
    except (OSError, msgspec.DecodeError):
        return {}
    return {name: ids or () for name, ids in (data.registered or {}).items()}
