"""The chapters run again when the package, the data or the corpora at hand have changed, and only then."""

import execution
import pytest


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A checkout in miniature."""
    for name in ("lmtutor/models/recurrent.py", "data/runs/lstm-200/result.json", "book/chapters/01.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("first")
    monkeypatch.setattr(execution, "ROOT", tmp_path)
    for name in ("LMTUTOR_DATA", "LMTUTOR_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_key_stays_when_nothing_changed(root):
    before = execution.key()
    cached = root / "lmtutor" / "__pycache__" / "recurrent.pyc"
    cached.parent.mkdir()
    cached.write_text("compiled")
    (root / "book/chapters/01.md").write_text("the chapter's own cells are the notebook cache's business")
    assert execution.key() == before


@pytest.mark.parametrize("name", ["lmtutor/models/recurrent.py", "data/runs/lstm-200/result.json"])
def test_key_changes_with_package_and_data(root, name):
    before = execution.key()
    (root / name).write_text("other")
    assert execution.key() != before


def test_key_changes_with_a_new_or_renamed_file(root):
    seen = {execution.key()}
    (root / "lmtutor/cells.py").write_text("new")
    seen.add(execution.key())
    (root / "lmtutor/cells.py").rename(root / "lmtutor/gates.py")
    seen.add(execution.key())
    assert len(seen) == 3


def test_key_changes_with_the_corpora_at_hand(root, monkeypatch):
    seen = {execution.key()}
    monkeypatch.setenv("LMTUTOR_OFFLINE", "1")
    seen.add(execution.key())
    corpora = root / "corpora"
    (corpora / "wikitext-2").mkdir(parents=True)
    monkeypatch.setenv("LMTUTOR_DATA", str(corpora))
    assert execution.key() in seen, "an empty folder is no corpus"
    (corpora / "wikitext-2/wiki.train.tokens").write_text("tokens")
    seen.add(execution.key())
    assert len(seen) == 3


def test_oldest_caches_are_forgotten(root):
    import os

    class Config:
        nb_execution_cache_path = ""

    caches = root / "_build/.jupyter_cache"
    for age in range(5):
        (caches / f"old{age}").mkdir(parents=True)
        os.utime(caches / f"old{age}", (1_000_000 - age, 1_000_000 - age))
    config = Config()
    execution.place_cache(None, config)
    left = {path.name for path in caches.iterdir()}
    assert left == {execution.key(), "old0", "old1"}
    assert config.nb_execution_cache_path.endswith(execution.key())
