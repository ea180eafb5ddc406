"""Every rule is tried with each kind of kubelet."""

import pytest

from kubelets.kinds import ALL, Kind


@pytest.fixture(params=ALL, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found
