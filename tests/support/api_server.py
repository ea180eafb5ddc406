"""An API server over HTTPS with a few objects, which can be slow, forbid, or be gone."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme

TOKEN = "of-the-account"  # noqa: S105 - of a server that tests start
EVENTS = "/api/v1/namespaces/default/events"


class ApiServer:
    """Its node has a taint and a version; `calls` are all that were made."""

    def __init__(self, folder: Path) -> None:
        self.account = folder / "account"
        self.account.mkdir()
        (self.account / "token").write_text(f"{TOKEN}\n")
        self.calls: list[tuple[str, str]] = []
        self.told: dict[str, dict[str, Any]] = {}
        self.conditions: list[dict[str, Any]] = []
        self.taints = [{"key": "nodeplug.io/starting"}, {"key": "other"}]
        self.annotations: dict[str, str] = {}
        self.version = 7
        self.forbid = False
        self.meddle = False
        self.refuse: Callable[[str, Any], int | None] = lambda _path, _body: None
        self.release = threading.Event()
        self.release.set()
        self.environment: dict[str, str] = {}
        self.changed = threading.Condition()
        self.watches = self.refusals = 0

    def annotate(self, **annotations: str | None) -> None:
        """Change the node's annotations, and tell who watches; None takes one away."""
        with self.changed:
            kept = {k: v for k, v in self.annotations.items() if k not in annotations}
            self.annotations = kept | {k: v for k, v in annotations.items() if v is not None}
            self.version += 1
            self.changed.notify_all()

    def end_watches(self) -> None:
        """Let all streams end, as after their time."""
        with self.changed:
            self.watches += 1
            self.changed.notify_all()

    def refuse_watches(self) -> None:
        """Say in all streams that they cannot go on, and leave them open."""
        with self.changed:
            self.refusals += 1
            self.changed.notify_all()

    def events(self, version: int) -> Iterator[dict[str, Any]]:
        """Yield the node whenever it has another version, until the streams are ended."""
        with self.changed:
            number, refusals = self.watches, self.refusals
            while self.watches == number and self.refusals == refusals:
                if self.version != version:
                    version = self.version
                    yield {"type": "MODIFIED", "object": self.node}
                self.changed.wait()
            if self.refusals != refusals:
                yield {"type": "ERROR", "object": {"code": 410, "message": "too old"}}
                self.changed.wait_for(lambda: self.watches != number)

    @property
    def node(self) -> dict[str, Any]:
        metadata = {"resourceVersion": str(self.version), "annotations": self.annotations}
        return {"metadata": metadata, "spec": {"taints": self.taints}}

    def reply(self, method: str, path: str, token: str, body: Any) -> tuple[int, Any]:
        self.calls.append((method, path))
        self.release.wait(60)
        if token != f"Bearer {TOKEN}":
            return 401, {"message": "Unauthorized"}
        if self.forbid:
            return 403, {"message": f"not\nallowed to {method}"}
        if (status := self.refuse(path, body)) is not None:
            return status, {"message": "refused"}
        if path.startswith(EVENTS):
            return self._event(method, path, body)
        if path.endswith("/status"):
            self.conditions += body["status"]["conditions"]
            return 200, {}
        return self._node(method, body)

    def _event(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if method == "PATCH":
            self.told[path.rpartition("/")[2]] |= body
            return 200, {}
        name = body["metadata"]["name"]
        if name in self.told:
            return 409, {"message": "exists already"}
        self.told[name] = body
        return 201, {}

    def _node(self, method: str, body: Any) -> tuple[int, Any]:
        if method == "PATCH":
            if body["metadata"]["resourceVersion"] != str(self.version):
                return 409, {"message": "the object has been modified"}
            self.taints = body["spec"]["taints"] or []
        found = self.node
        self.version += self.meddle
        return 200, found


@contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    server = ApiServer(folder)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(server.account / "ca.crt"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    listener = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    listener.daemon_threads = True
    listener.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    port = listener.server_address[1]
    server.environment = {
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(port),
    }
    try:
        yield server
    finally:
        server.release.set()
        server.end_watches()
        listener.shutdown()
        thread.join()
        listener.server_close()


def _handler(server: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            token = self.headers.get("Authorization", "")
            status, answer = server.reply(self.command, self.path, token, body)
            query = parse_qs(urlsplit(self.path).query)
            if status == HTTPStatus.OK and "watch" in query:
                self._stream(int(query["resourceVersion"][0]))
                return
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, version: int) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for event in server.events(version):
                data = json.dumps(event).encode() + b"\n"
                self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")

        do_GET = do_POST = do_PATCH = _do  # noqa: N815 - names of the base class

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
