"""Whether somebody speaks gRPC on a socket, without asking for anything."""

import asyncio
from pathlib import Path

# RFC 9113, section 3.4: what a client says first, here with empty settings. A server answers
# with its own settings, a frame of nine bytes at least.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
_FRAME_BYTES = 9


async def silence_at(socket: Path, seconds: float = 2.0) -> str:
    """Return why nobody answers at this socket, or empty if somebody does."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(socket)
            try:
                writer.write(_PREFACE)
                await reader.readexactly(_FRAME_BYTES)
            finally:
                writer.close()
    except TimeoutError:
        return f"no answer within {seconds:g} s"
    except OSError as error:
        return error.strerror or str(error)
    except asyncio.IncompleteReadError:
        return "it hangs up"
    return ""
