"""Run the chapters again when what they use has changed.

The cache of outputs compares a chapter's own cells only: after a change in the package or in the data it would show
the old numbers. So the cache lives in a folder that is named after all that a chapter may use.
"""

import hashlib
import os
import platform
import shutil
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WATCHED = ("lmtutor", "data")
LIBRARIES = ("torch", "numpy", "pandas", "matplotlib", "nltk")
KEEP = 3  # with the real corpora, without them, and the one before


def key() -> str:
    """Return a name for the state of the package, the data, the corpora at hand and the libraries."""
    digest = hashlib.sha256()
    for folder in WATCHED:
        for file in sorted((ROOT / folder).rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0")
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    digest.update(f"python {platform.python_version()}".encode())
    for library in LIBRARIES:
        digest.update(f"{library} {version(library)}".encode())
    digest.update(f"offline {os.environ.get('LMTUTOR_OFFLINE', '')}".encode())
    corpora = os.environ.get("LMTUTOR_DATA")
    if corpora and Path(corpora).is_dir():
        for file in sorted(Path(corpora).rglob("*")):
            if file.is_file():
                digest.update(f"{file.relative_to(corpora).as_posix()} {file.stat().st_size}".encode())
    return digest.hexdigest()[:16]


def place_cache(app, config) -> None:
    """Point the execution cache to the folder of this state, and forget the oldest ones."""
    caches = ROOT / "_build" / ".jupyter_cache"
    mine = caches / key()
    mine.mkdir(parents=True, exist_ok=True)
    mine.touch()
    config.nb_execution_cache_path = str(mine)
    by_age = sorted((path for path in caches.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for old in by_age[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)


def setup(app):
    app.connect("config-inited", place_cache, priority=900)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
