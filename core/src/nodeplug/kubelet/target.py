"""What gRPC calls a socket."""

from pathlib import Path
from urllib.parse import quote


def target_of(socket: Path | str) -> str:
    """Return the target of a Unix socket, for servers and clients.

    gRPC takes `%`, `?` and `#` in it for what they are in a URI. A comma ends a path for its
    clients, however it is written (findings/grpcio-1.85-comma-in-a-socket-path.sh).
    """
    return f"unix:{quote(str(socket))}"
