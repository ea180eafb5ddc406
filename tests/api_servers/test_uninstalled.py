"""What the page tells to do with a Node's status after nodeplug was uninstalled."""

import json
import re
import shlex

import pytest

from api_servers.installation import OTHER, Installation
from support.repository import ROOT

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("API servers")]

PAGE = (ROOT / "docs/deployment.md").read_text().partition("### What stays in the Node's status")[2]
PATCHES = [
    word.partition("=")[2]
    for line in re.findall(r"kubectl patch node NODE --subresource=status .*", PAGE)
    for word in shlex.split(line)
    if word.startswith("--patch=")
]
PATH = f"/api/v1/nodes/{OTHER}"


def test_condition_and_resource_go_from_the_status(installation: Installation) -> None:
    """And nothing else does."""
    server = installation.server
    before = server.have("GET", PATH)["status"]
    served = {"example.com/serial": "0"}
    condition = {"type": "NodeplugCustomReady", "status": "Unknown"}
    status = {"conditions": [condition], "capacity": served, "allocatable": served}
    left = server.have("PATCH", f"{PATH}/status", {"status": status})["status"]
    assert "example.com/serial" in left["capacity"].keys() & left["allocatable"].keys()
    assert len(PATCHES) == 2
    for patch in PATCHES:
        server.have("PATCH", f"{PATH}/status", json.loads(patch))
    after = server.have("GET", PATH)["status"]
    assert {**after, "allocatable": {}} == {**before, "allocatable": {}}
    assert "example.com/serial" not in after.get("allocatable", {})
