"""Run the chapters again when what they use has changed.

The cache of outputs compares a chapter's own cells only: after a change in the package or in the data it would show
the old numbers. So the cache lives in a folder that is named after all that a chapter may use. With other corpora at
hand only those pages run again that ask for one; the others take what they showed before.

Sphinx would run the pages one after another. They run before it reads them, one on each core, with one thread of
torch's each: side by side they take half the time on two cores, and their last digits do not depend on the cores.
"""

import asyncio
import contextlib
import hashlib
import os
import platform
import shutil
import time
from importlib.metadata import version
from pathlib import Path

from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from record import lay_in, read_page

ROOT = Path(__file__).resolve().parents[2]
WATCHED = ("lmtutor", "data")
LEFT_OUT = {"__pycache__", "recorded"}  # recordings are laid in; they change nothing for the others
LIBRARIES = ("torch", "numpy", "pandas", "matplotlib", "nltk")
ASKS = "corpus_here("  # what a page calls that reads a corpus from outside
AT_ONCE = 4  # kernels, of half a gigabyte each
KEEP = 3  # with the real corpora, without them, and the one before


def key() -> str:
    """Return a name for the state of the package, the data and the libraries, and for the corpora at hand."""
    return f"{state()}-{corpora()}"


def state() -> str:
    """Return a name for the state of the package, the data and the libraries."""
    digest = hashlib.sha256()
    for folder in WATCHED:
        for file in sorted((ROOT / folder).rglob("*")):
            if file.is_file() and not LEFT_OUT & set(file.parts):
                digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0")
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    digest.update(f"python {platform.python_version()}".encode())
    for library in LIBRARIES:
        digest.update(f"{library} {version(library)}".encode())
    return digest.hexdigest()[:16]


def corpora() -> str:
    """Return a name for the corpora at hand."""
    digest = hashlib.sha256(f"offline {os.environ.get('LMTUTOR_OFFLINE', '')}".encode())
    folder = os.environ.get("LMTUTOR_DATA")
    if folder and Path(folder).is_dir():
        for file in sorted(Path(folder).rglob("*")):
            if file.is_file():
                digest.update(f"{file.relative_to(folder).as_posix()} {file.stat().st_size}".encode())
    return digest.hexdigest()[:16]


def take_over(mine: Path) -> None:
    """Begin a cache with what other corpora left the same: every page but those that ask for a corpus."""
    others = [path for path in mine.parent.glob(f"{state()}-*") if path.is_dir()]
    if mine.exists() or not others:
        return
    shutil.copytree(max(others, key=lambda path: path.stat().st_mtime), mine)
    kept = get_cache(str(mine))
    for record in kept.list_cache_records():
        page = Path(record.uri)
        if not page.exists() or ASKS in page.read_text(encoding="utf-8"):
            kept.remove_cache(record.pk)


def place_cache(app, config) -> None:
    """Point the execution cache to the folder of this state, and forget the oldest ones."""
    caches = ROOT / "_build" / ".jupyter_cache"
    mine = caches / key()
    take_over(mine)
    mine.mkdir(parents=True, exist_ok=True)
    mine.touch()
    lay_in(ROOT, mine)
    config.nb_execution_cache_path = str(mine)
    by_age = sorted((path for path in caches.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for old in by_age[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)


def run_ahead(app, env, docnames) -> None:
    """Run the pages that have no outputs yet; one that fails is left to Sphinx, which says what went wrong."""
    cache = get_cache(app.config.nb_execution_cache_path)
    files = [Path(env.doc2path(name)) for name in docnames]
    notebooks = {file: read_page(file) for file in files if "{code-cell}" in file.read_text(encoding="utf-8")}
    for file, notebook in list(notebooks.items()):
        with contextlib.suppress(KeyError):
            cache.match_cache_notebook(notebook)
            del notebooks[file]

    cores = asyncio.Semaphore(min(os.cpu_count(), AT_ONCE))

    async def run(file: Path, notebook) -> None:
        notebook.metadata["page"] = file.stem  # `progress` says it
        options = {"timeout": app.config.nb_execution_timeout, "resources": {"metadata": {"path": file.parent}}}
        async with cores:
            begun = time.monotonic()
            with contextlib.suppress(CellExecutionError, CellTimeoutError):
                await NotebookClient(notebook, record_timing=False, **options).async_execute()
                ran = CacheBundleIn(notebook, str(file), data={"execution_seconds": time.monotonic() - begun})
                cache.cache_notebook_bundle(ran, check_validity=False, overwrite=True)

    async def run_all() -> None:  # the last chapters train most: begun at the end, one of them would run alone
        await asyncio.gather(*(run(*page) for page in sorted(notebooks.items(), reverse=True)))

    asyncio.run(run_all())


def setup(app):
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the kernels
    app.connect("config-inited", place_cache, priority=900)
    app.connect("env-before-read-docs", run_ahead, priority=900)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
