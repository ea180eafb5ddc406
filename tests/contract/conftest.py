"""Every rule is tried with both kinds of kubelet."""

import pytest

from nodeplug.testing import Profile


@pytest.fixture(params=list(Profile), ids=lambda profile: profile.value)
def profile(request: pytest.FixtureRequest) -> Profile:
    found: Profile = request.param
    return found
