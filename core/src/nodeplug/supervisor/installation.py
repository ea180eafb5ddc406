"""An installation: one release of ours on a node, which may have several."""

import zlib


def file_name(installation: str) -> str:
    """Return what stands for an installation in the name of a file: its text is from outside."""
    return f"{zlib.crc32(installation.encode()):08x}"
