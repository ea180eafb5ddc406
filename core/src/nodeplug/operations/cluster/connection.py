"""A connection to the API server with the rights of a service account."""

import http.client
import os
import ssl
from pathlib import Path


def connect(account: Path, seconds: float) -> http.client.HTTPSConnection:
    """Return a connection on which every wait ends after so many seconds."""
    context = ssl.create_default_context(cadata=(account / "ca.crt").read_text())
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    port = int(os.environ.get("KUBERNETES_SERVICE_PORT", "443"))
    return http.client.HTTPSConnection(host, port, timeout=seconds, context=context)


def headers(account: Path, accept: str = "application/json") -> dict[str, str]:
    """Return the headers of a request. The token is read anew: it changes every hour."""
    return {
        "Authorization": f"Bearer {(account / 'token').read_text().strip()}",
        "Accept": accept,
        "User-Agent": "nodeplug",
    }
