"""A real API server of Kubernetes on this machine, with nodes and pods as objects alone."""

import http.client
import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import trustme
import yaml

from api_servers.versions import binary
from support.charts import Manifest, program

_ADMIN = "of-the-administrator"
_STRATEGIC = "application/strategic-merge-patch+json"
_HOST = "127.0.0.1"


class Answer(NamedTuple):
    """What the API server says: a status code and a document."""

    status: int
    body: dict[str, Any]

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))


class ApiServer:
    """The server of one version; `folder` has its certificates and what it says."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.ca = folder / "ca.crt"
        self.environment = {"KUBERNETES_SERVICE_HOST": _HOST, "KUBERNETES_SERVICE_PORT": str(port)}
        self._context = ssl.create_default_context(cafile=str(self.ca))

    def ask(
        self, method: str, path: str, body: object = None, token: str = "", kind: str = _STRATEGIC
    ) -> Answer:
        """Make one call, as the administrator unless a token says otherwise."""
        headers = {
            "Authorization": f"Bearer {token or _ADMIN}",
            "Content-Type": kind if method == "PATCH" else "application/json",
        }
        connection = http.client.HTTPSConnection(_HOST, self.port, context=self._context)
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        return Answer(response.status, json.loads(data) if data[:1] == b"{" else {})

    def have(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Make one call as the administrator, which must be granted."""
        answer = self.ask(method, path, body)
        assert HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES, answer
        return answer.body

    def kubectl(self, *arguments: str, manifests: list[Manifest]) -> str:
        """Hand manifests to kubectl, which must find nothing to say against them."""
        config = self.folder / "kubeconfig"
        if not config.exists():
            config.write_text(json.dumps(self._kubeconfig()))
        command = (program("kubectl"), "--kubeconfig", str(config), *arguments, "--filename=-")
        text = yaml.safe_dump_all(manifests)
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"HOME": str(self.folder)},
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    def account(self, namespace: str, name: str, pod: Manifest | None) -> Path:
        """Return a folder with a token of an account, as a pod has it, or bound to none."""
        bound = {"apiVersion": "v1", "kind": "Pod"}
        bound |= {key: pod["metadata"][key] for key in ("name", "uid")} if pod else {}
        spec = {"boundObjectRef": bound} if pod else {}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        token = self.have("POST", path, {"spec": spec})["status"]["token"]
        folder = self.folder / f"account-{name}-{bound.get('name', '')}"
        folder.mkdir()
        (folder / "token").write_text(token)
        (folder / "ca.crt").write_bytes(self.ca.read_bytes())
        return folder

    def _kubeconfig(self) -> dict[str, Any]:
        cluster = {
            "server": f"https://{_HOST}:{self.port}",
            "certificate-authority": str(self.ca),
        }
        return {
            "clusters": [{"name": "x", "cluster": cluster}],
            "users": [{"name": "x", "user": {"token": _ADMIN}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            "current-context": "x",
        }


@contextmanager
def api_server(version: str, folder: Path) -> Iterator[ApiServer]:
    """Run the API server of a version; it is ready when the body begins."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.crt"))
    certificate = authority.issue_cert(_HOST)
    certificate.cert_chain_pems[0].write_to_path(str(folder / "tls.crt"))
    certificate.private_key_pem.write_to_path(str(folder / "tls.key"))
    (folder / "tokens").write_text(f"{_ADMIN},admin,admin,system:masters\n")
    # The port is ours as long as this socket is open; it takes no connections.
    with socket.socket() as held, (folder / "log").open("wb") as log:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((_HOST, 0))
        server = ApiServer(folder, held.getsockname()[1])
        command = (str(binary(version)), str(folder), *_flags(server))
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(server, process)
            yield server
        finally:
            process.kill()
            process.wait()


def _flags(server: ApiServer) -> Iterator[str]:
    key = server.folder / "tls.key"
    yield f"--bind-address={_HOST}"
    yield f"--secure-port={server.port}"
    yield "--permit-port-sharing"
    yield f"--tls-cert-file={server.folder / 'tls.crt'}"
    yield f"--tls-private-key-file={key}"
    yield f"--token-auth-file={server.folder / 'tokens'}"
    yield "--authorization-mode=RBAC"
    yield "--allow-privileged"
    yield f"--service-account-key-file={key}"
    yield f"--service-account-signing-key-file={key}"
    yield "--service-account-issuer=https://kubernetes.default.svc"
    yield "--service-cluster-ip-range=10.96.0.0/16"
    yield "--endpoint-reconciler-type=none"


def _wait(server: ApiServer, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            if server.ask("GET", "/readyz").status == HTTPStatus.OK:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise ChildProcessError((server.folder / "log").read_text()[-4000:])
