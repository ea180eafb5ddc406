"""The keys that nodeplug takes are those that a real API server takes."""

from http import HTTPStatus

import pytest

from api_servers.installation import OTHER, Installation
from support.kubernetes_names import BAD_KEYS, GOOD_KEYS, UPPER_CASE

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("API servers")]


def is_taken(installation: Installation, body: object) -> bool:
    """Tell whether the administrator can write this to a node."""
    path = f"/api/v1/nodes/{OTHER}?dryRun=All"
    return installation.server.ask("PATCH", path, body).status == HTTPStatus.OK


@pytest.mark.parametrize("key", [*GOOD_KEYS, *BAD_KEYS, UPPER_CASE])
def test_a_key_of_a_taint_is_judged_alike(installation: Installation, key: str) -> None:
    """One that is refused here could never be on a node."""
    body = {"spec": {"taints": [{"key": key, "effect": "NoSchedule"}]}}
    assert is_taken(installation, body) is (key in GOOD_KEYS)


@pytest.mark.parametrize("key", [*GOOD_KEYS, *BAD_KEYS, UPPER_CASE])
def test_a_key_of_an_annotation_is_judged_alike(installation: Installation, key: str) -> None:
    """Its domain may have capitals."""
    body = {"metadata": {"annotations": {key: "x"}}}
    assert is_taken(installation, body) is (key in {*GOOD_KEYS, UPPER_CASE})
