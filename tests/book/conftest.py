"""The built book, for the tests of its pages: `make test` builds it first, `LMTUTOR_BOOK` names another folder."""

import gzip
import os
import re
import shutil
import sys
import threading
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(os.environ.get("LMTUTOR_BOOK", ROOT / "_build" / "html"))
sys.path.insert(0, str(ROOT / "book" / "_ext"))

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


class Page:
    """One page of the table of contents: its source and what was built of it."""

    def __init__(self, name: str):
        self.name = name
        self.source = (ROOT / f"{name}.md").read_text(encoding="utf-8")
        self.path = SITE / f"{name}.html"

    def code_cells(self) -> list[set[str]]:
        """Return the tags of each code cell of the source, in order."""
        found = []
        for cell in re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```\s*$", self.source, flags=re.M | re.S):
            options = (
                cell.split("---")[1]
                if cell.startswith("---")
                else "\n".join(line[1:] for line in cell.splitlines() if line.startswith(":"))
            )
            found.append(set((yaml.safe_load(options) or {}).get("tags", [])))
        return found

    @property
    def html(self) -> BeautifulSoup:
        return parse(self.path)

    @property
    def article(self) -> BeautifulSoup:
        return self.html.find("article")


@cache
def parse(path: Path) -> BeautifulSoup:
    """Return an HTML file, parsed; fail with what to do when the book was not built."""
    assert path.is_file(), f"{path} is missing: build the book first (make book)"
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(path: Path) -> set[str]:
    """Return what a link into an HTML file may point at."""
    return {element["id"] for element in parse(path).find_all(id=True)}


@cache
def toc() -> list[Page]:
    """Return the pages of `_toc.yml` in reading order."""
    table = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    top = [entry for part in table["parts"] for entry in part["chapters"]]
    chapters = [page["file"] for entry in top for page in (entry, *entry.get("sections", ()))]
    return [Page(name) for name in [table["root"], *chapters]]


def pytest_generate_tests(metafunc):
    """A test that takes a `page` runs once for each page of the table of contents, a `chapter` for each chapter."""
    for name, part in (("page", ""), ("chapter", "book/chapters/")):
        if name in metafunc.fixturenames:
            chosen = [page for page in toc() if page.name.startswith(part)]
            metafunc.parametrize(name, chosen, ids=[page.name for page in chosen])


@pytest.fixture
def pages() -> list[Page]:
    return toc()


@pytest.fixture
def anchors_of():
    return anchors


@pytest.fixture(scope="session")
def site() -> Path:
    return SITE


# --- A browser and a server --------------------------------------------------------------------------------------


class Silent(SimpleHTTPRequestHandler):
    """A file server that keeps its log to itself."""

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def browser():
    """The Chromium that is installed (`CHROMIUM` names another); Playwright downloads none."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


class Compressing(Silent):
    """The same, compressed as servers do it, over connections that are kept."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        file = Path(self.translate_path(self.path.split("?")[0]))
        kind = self.guess_type(file)
        body = file.read_bytes() if file.is_file() else b""
        self.send_response(200 if body else 404)
        if any(word in kind for word in ("text", "javascript", "json", "svg")):
            body = gzip.compress(body, 6)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(handler, site: Path):
    """Serve the book until the test is over."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def served(site):
    """The address of the book's root on a server of this machine."""
    yield from serve(Silent, site)


@pytest.fixture(scope="module")
def compressing(site):
    """The same on a server that compresses."""
    yield from serve(Compressing, site)
