"""What all tests share: a cache folder of their own, no network, and hypothesis at a pace that fits them all."""

import os

import pytest
from hypothesis import settings

settings.register_profile("here", max_examples=40, deadline=None)
settings.load_profile("here")


@pytest.fixture(scope="session", autouse=True)
def _on_our_own(tmp_path_factory):
    """Keep the user's cache out of the tests and the tests off the network."""
    ours = {"LMTUTOR_CACHE": str(tmp_path_factory.mktemp("cache")), "LMTUTOR_OFFLINE": "1"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    yield
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
