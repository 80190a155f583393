"""What all tests share: a cache folder of their own, so that none reads or writes the user's."""

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Point the package's cache at a temporary folder for the whole session."""
    before = os.environ.get("LMTUTOR_CACHE")
    os.environ["LMTUTOR_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["LMTUTOR_CACHE"]
    else:
        os.environ["LMTUTOR_CACHE"] = before
