"""A process that calls the API server and ends: TLS stays out of the agent's memory.

It reads a JSON list of calls from standard input and writes a JSON list of replies: of each its
status and its body.
"""

import http.client
import json
import sys
from pathlib import Path
from typing import Any

from nodeplug.operations.cluster.connection import connect, headers

_CALL_SECONDS = 10.0
_REPLY_LIMIT = 4 * 1024 * 1024


def main(account: Path) -> None:
    """Make all calls, one after the other, with the rights of a service account."""
    connection = connect(account, _CALL_SECONDS)
    try:
        replies = [_call(connection, account, call) for call in json.load(sys.stdin)]
    finally:
        connection.close()
    json.dump(replies, sys.stdout)


def _call(
    connection: http.client.HTTPSConnection, account: Path, call: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    kind = {"Content-Type": call.get("type", "application/json")}
    body = json.dumps(call["body"]) if "body" in call else None
    connection.request(call["method"], call["path"], body, headers(account) | kind)
    with connection.getresponse() as response:
        data = response.read(_REPLY_LIMIT)
        if not response.isclosed():  # there is more; the next call opens another connection
            connection.close()
    return response.status, _parsed(data)


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"message": data[:200].decode(errors="replace")}


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except Exception as error:  # noqa: BLE001 - one line for the agent's log
        sys.exit(f"{type(error).__name__}: {error}")
