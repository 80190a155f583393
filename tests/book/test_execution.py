"""The chapters run again when the package, the data or the corpora at hand have changed, and only then."""

from pathlib import Path

import execution
import pytest
import record


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


def test_with_other_corpora_only_pages_that_ask_for_one_run_again(root, monkeypatch):
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn
    from nbformat import v4

    class Config:
        nb_execution_cache_path = ""

    execution.place_cache(None, Config)
    first = get_cache(Config.nb_execution_cache_path)
    spec = {"name": "python3", "display_name": "Python 3"}
    for name, source in (("01", "1 + 1"), ("04", 'corpus = lm.corpus_here("wikitext-2")')):
        page = root / "book/chapters" / f"{name}.md"
        page.write_text(source)
        notebook = v4.new_notebook(cells=[v4.new_code_cell(source)], metadata=dict(kernelspec=spec))
        first.cache_notebook_bundle(CacheBundleIn(notebook, str(page)), check_validity=False)
    before = Config.nb_execution_cache_path
    monkeypatch.setenv("LMTUTOR_OFFLINE", "1")
    execution.place_cache(None, Config)
    assert Config.nb_execution_cache_path != before
    kept = get_cache(Config.nb_execution_cache_path).list_cache_records()
    assert [Path(record.uri).stem for record in kept] == ["01"]
    assert len(first.list_cache_records()) == 2, "the first cache is as it was"


PAGE = """---
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# A page

```{code-cell} ipython3
print("on the real corpus")  # corpus_here("wikitext-2") would be
```
"""


def test_a_recording_is_shown_until_its_cells_are_edited(tmp_path):
    from jupyter_cache import get_cache

    page = record.page_of(tmp_path, "04")
    page.parent.mkdir(parents=True)
    page.write_text(PAGE)
    kept = record.record(tmp_path, "04", "wikitext-2")
    assert "Recorded on wikitext-2" in kept.read_text()
    record.lay_in(tmp_path, tmp_path / "cache")
    page.write_text(PAGE.replace("# A page", "# Another title"))
    _, shown = get_cache(str(tmp_path / "cache")).merge_match_into_notebook(record.read_page(page))
    (cell,) = (cell for cell in shown.cells if cell.cell_type == "code")
    assert 'class="recorded"' in cell.outputs[0].data["text/html"]
    assert cell.outputs[1].text == "on the real corpus\n"
    page.write_text(PAGE.replace("ipython3\n", "ipython3\n:tags: [hide-input]\n\n"))  # or another caption
    record.lay_in(tmp_path, tmp_path / "options")
    assert get_cache(str(tmp_path / "options")).match_cache_notebook(record.read_page(page))
    page.write_text(PAGE.replace("real", "other"))
    record.lay_in(tmp_path, tmp_path / "second")
    assert not get_cache(str(tmp_path / "second")).list_cache_records()


@pytest.mark.parametrize(
    "kept", sorted((record.ROOT / "data" / "recorded").glob("*.ipynb")), ids=lambda kept: kept.stem
)
def test_no_recording_is_stale(kept):
    import nbformat

    notebook = nbformat.read(kept, as_version=4)
    page = record.page_of(record.ROOT, kept.stem)
    assert record.cells(notebook) == record.cells(record.read_page(page)), "record again: book/_ext/record.py"


@pytest.mark.slow
def test_pages_run_side_by_side_and_one_that_fails_is_left_to_sphinx(tmp_path, monkeypatch):
    from types import SimpleNamespace

    from jupyter_cache import get_cache

    monkeypatch.setattr("os.cpu_count", lambda: 2)
    header = "---\nkernelspec: {display_name: Python 3, language: python, name: python3}\n---\n"
    waits = "import time, pathlib\npathlib.Path('NAME').touch()\nfor i in range(600):\n    time.sleep(0.1)\n"
    waits += "    if pathlib.Path('OTHER').exists(): break\nelse: raise TimeoutError\nprint('met')"
    sources = {
        "one": waits.replace("NAME", "one").replace("OTHER", "two"),
        "two": waits.replace("NAME", "two").replace("OTHER", "one"),
        "bad": "1 / 0",
    }
    for name, source in sources.items():
        (tmp_path / f"{name}.md").write_text(f"{header}# A page\n\n```{{code-cell}} python\n{source}\n```\n")
    (tmp_path / "plain.md").write_text("# No cells\n")
    config = SimpleNamespace(nb_execution_cache_path=str(tmp_path / "cache"), nb_execution_timeout=100)
    env = SimpleNamespace(doc2path=lambda name: str(tmp_path / f"{name}.md"))
    execution.run_ahead(SimpleNamespace(config=config), env, [*sources, "plain"])
    kept = get_cache(config.nb_execution_cache_path)
    for name in sources:
        page = record.read_page(tmp_path / f"{name}.md")
        if name == "bad":
            with pytest.raises(KeyError):
                kept.match_cache_notebook(page)
        else:
            assert kept.merge_match_into_notebook(page)[1].cells[-1].outputs[0].text == "met\n"
