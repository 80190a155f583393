"""What the tests of this folder begin with."""

import pytest

from lmtutor.runs.recipe import read_recipe
from tests.robustness.zoo import RECIPE, TEXT


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe in the working directory, with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LMTUTOR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cats.txt").write_text(TEXT)
    (tmp_path / "cats.toml").write_text(RECIPE)
    return read_recipe("cats.toml")
