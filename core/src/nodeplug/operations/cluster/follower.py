"""A process that follows an annotation of a node: TLS stays out of the agent's memory.

It writes the annotation's value as a line of JSON, null where there is none, at first and whenever
it has changed; of one that is longer than the limit, one character more. It ends when its standard
input does, or with one line about what went wrong.
"""

import json
import os
import sys
import threading
import time
from http.client import HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from nodeplug.operations.cluster.connection import connect, headers

# The API server ends a watch after this time; one from which nothing comes is dead.
_WATCH_SECONDS = 300
_SILENCE_SECONDS = _WATCH_SECONDS + 30.0
# No news may make it read the node more often than this.
_PAUSE_SECONDS = 1.0
# Of a node's many kilobytes, its metadata.
_ACCEPT = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
_OK = 200
_TOO_OLD = 410


class Follower:
    """Follows one annotation of one node."""

    def __init__(self, account: Path, node: str, annotation: str, limit: int) -> None:
        self._account = account
        self._node = node
        self._annotation = annotation
        self._limit = limit
        self._told: str | None = None
        self._has_told = False

    def run(self) -> None:
        """Follow until something fails. What is missed between two watches is read first."""
        connection = connect(self._account, _SILENCE_SECONDS)
        while True:
            with self._get(connection, f"/api/v1/nodes/{self._node}") as response:
                metadata = json.load(response)["metadata"]
            self._tell(metadata)
            self._watch(connection, metadata["resourceVersion"])
            connection.close()  # of a watch that was left, more may be on its way
            time.sleep(_PAUSE_SECONDS)

    def _watch(self, connection: HTTPSConnection, version: str) -> None:
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={self._node}",
            "resourceVersion": version,
            "timeoutSeconds": _WATCH_SECONDS,
        }
        with self._get(connection, f"/api/v1/nodes?{urlencode(query)}") as response:
            while line := response.readline():
                event = json.loads(line)
                if event.get("type") != "MODIFIED":
                    return
                self._tell(event["object"]["metadata"])

    def _get(self, connection: HTTPSConnection, path: str) -> HTTPResponse:
        connection.request("GET", path, headers=headers(self._account, _ACCEPT))
        response = connection.getresponse()
        if response.status not in {_OK, _TOO_OLD}:
            raise ConnectionError(f"the API server refuses: {response.status} {response.reason}")
        return response

    def _tell(self, metadata: dict[str, Any]) -> None:
        value = (metadata.get("annotations") or {}).get(self._annotation)
        if value is not None:
            # JSON can write what is no text; the agent reads text.
            value = value[: self._limit + 1].encode(errors="backslashreplace").decode()
        if not self._has_told or value != self._told:
            print(json.dumps(value), flush=True)  # noqa: T201 - the agent reads it
            self._told, self._has_told = value, True


def _end_with_the_agent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_agent, daemon=True).start()
    try:
        own, name, key, most = sys.argv[1:]
        Follower(Path(own), name, key, int(most)).run()
    except Exception as error:  # noqa: BLE001 - one line for the agent's log
        sys.exit(f"{type(error).__name__}: {error}")
