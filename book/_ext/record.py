"""Record the outputs of the chapters that need a corpus which is not in the repository.

    LMTUTOR_DATA=DIR .venv/bin/python book/_ext/record.py

executes them where the corpora are and keeps the executed notebooks in data/recorded. The build lays these into its
execution cache (`lay_in`), so that the pages are the same with and without the corpora. The cache compares cells: a
chapter whose cells were edited no longer matches its recording and runs again, on the embedded corpus if need be.

A recording is stale when its cells are not the chapter's. A change in the package is not held against it, since a
digest of the package would change with every commit: record again when a change moves numbers.
"""

import datetime
import html
import os
import platform
import sys
import time
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = {"04-wikitext-2": "wikitext-2", "05-sherlock-holmes": "sherlock-holmes"}


def page_of(root: Path, name: str) -> Path:
    """Return the chapter of a recording."""
    return root / "book" / "chapters" / f"{name}.md"


def read_page(page: Path):
    """Read a chapter as the build does."""
    from myst_nb.core.read import read_myst_markdown_notebook  # slow to import

    return read_myst_markdown_notebook(page.read_text(encoding="utf-8"), add_source_map=False)


def code(notebook) -> list:
    """Return the code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def cells(notebook) -> list[str]:
    """Return what decides whether a recording still is the chapter's: the source of its code cells."""
    return [cell.source for cell in code(notebook)]


def record(root: Path, name: str, corpus: str) -> Path:
    """Execute a chapter and keep it with a mark that says on what, when and where."""
    page = page_of(root, name)
    notebook = read_page(page)
    begun = time.monotonic()
    NotebookClient(
        notebook, timeout=3600, kernel_name="python3", resources={"metadata": {"path": page.parent}}
    ).execute()
    notebook.metadata["recorded"] = {"seconds": round(time.monotonic() - begun, 1)}
    cores = os.cpu_count()
    said = f"Recorded on {corpus}, {datetime.date.today()}, {platform.machine()} with {cores} cores."
    mark = {"text/html": f'<p class="recorded">{html.escape(said)}</p>', "text/plain": said}
    notebook.cells = code(notebook)  # the text is in the chapter
    asking = next(cell for cell in notebook.cells if "corpus_here(" in cell.source)
    asking.outputs.insert(0, nbformat.v4.new_output("display_data", mark))
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # the clock of each cell
    kept = root / "data" / "recorded" / f"{name}.ipynb"
    kept.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, kept)
    return kept


def lay_in(root: Path, folder: Path) -> None:
    """Put the recordings that match their chapters into the execution cache."""
    cache = get_cache(str(folder))
    for kept in sorted((root / "data" / "recorded").glob("*.ipynb")):
        notebook, page = nbformat.read(kept, as_version=4), page_of(root, kept.stem)
        if page.exists() and cells(notebook) == cells(now := read_page(page)):
            for cell, its in zip(notebook.cells, code(now), strict=True):
                cell.metadata = its.metadata  # a caption may be reworded: the cache compares that too
            seconds = {"execution_seconds": notebook.metadata["recorded"]["seconds"]}
            bundle = CacheBundleIn(notebook, str(page), data=seconds)
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as the build runs them
    from lmtutor.text.corpora import corpus_available

    for name, corpus in CHAPTERS.items():
        if not corpus_available(corpus):
            sys.exit(f"{corpus} must be on this machine to record {name}: name its folder in LMTUTOR_DATA")
        print(record(ROOT, name, corpus))
