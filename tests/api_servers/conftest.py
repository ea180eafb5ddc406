"""An API server for all tests here, and an agent installed in it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_servers.installation import Installation
from api_servers.server import ApiServer, api_server
from api_servers.versions import VERSIONS, why_not
from support.charts import Charts
from support.needs import require


@pytest.fixture(scope="session")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Charts:
    return Charts(tmp_path_factory.mktemp("charts"))


@pytest.fixture(scope="session", params=VERSIONS)
def server(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    reason = why_not(request.param)
    require(not reason, reason)
    # Paths of sockets must be short.
    with (
        tempfile.TemporaryDirectory(prefix="npa", dir="/tmp") as folder,
        api_server(request.param, Path(folder)) as found,
    ):
        yield found


@pytest.fixture(scope="session")
def installation(server: ApiServer, charts: Charts) -> Installation:
    return Installation(server, charts)
