"""Downloads, against a server of our own: the right file or a clear error, never a wrong or half file."""

import errno
import hashlib
import io
import multiprocessing
import tarfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lmtutor.system.errors import LMTutorError
from lmtutor.text.catalogue import CatalogueFile, CorpusEntry, download_folder
from lmtutor.text.corpora import corpus_available, load_corpus
from lmtutor.text.download import fetch_files
from lmtutor.text.prepare import sherlock_stories

TEXT = b"the right text \n" * 4096  # halves and quarters of it are whole blocks of what is read at a time
CHECKSUM = "sha256:" + hashlib.sha256(TEXT).hexdigest()
PAGE = b"<!DOCTYPE html><title>Sign in</title>" * 100


def archive(kind, names):
    """A zip or tar with the text under each name."""
    packed = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name in names:
                zipped.writestr(name, TEXT)
    else:
        with tarfile.open(fileobj=packed, mode=f"w:{'gz' if kind == 'tgz' else kind}") as tarred:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = len(TEXT)
                tarred.addfile(info, io.BytesIO(TEXT))
    return packed.getvalue()


class Server(ThreadingHTTPServer):
    """Serves what a test puts into `pages`; counts the requests."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages, self.asked, self.agents, self.cuts = {}, [], [], {}
        self.stalls = set()  # paths that go silent after what they send

    def url(self, path):
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.path)
        server.agents.append(self.headers.get("User-Agent", ""))
        if self.path.startswith("/polite") and "python" in server.agents[-1].lower():
            return self.send_error(403)
        if self.path not in server.pages:
            return self.send_error(404)
        body = server.pages[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cuts = server.cuts.get(self.path, 0)  # how many more times the connection breaks in the middle
        server.cuts[self.path] = max(0, cuts - 1)
        body = body[: len(body) // 2] if cuts else body
        self.wfile.write(body)
        if self.path in server.stalls:
            time.sleep(30)
        return None

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("LMTUTOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LMTUTOR_OFFLINE", raising=False)
    monkeypatch.delenv("LMTUTOR_DATA", raising=False)
    running = Server()
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


def get_all(*mirrors, checksum=CHECKSUM, more=()):
    files = {"train": CatalogueFile("own/train.txt", mirrors, checksum, size=len(TEXT))}
    for name, own_mirrors in more:
        files[name] = CatalogueFile(f"own/{name}.txt", own_mirrors, checksum)
    return fetch_files("own", files, progress=False)


def get(*mirrors):
    return get_all(*mirrors)["train"]


def fails(*mirrors):
    """The one line of error; nothing is left where the file belongs, nor beside it."""
    with pytest.raises(LMTutorError) as caught:
        get(*mirrors)
    folder = download_folder() / "own"
    assert [f.name for f in folder.glob("*") if f.name != ".lock"] == []
    message = str(caught.value)
    assert "\n" not in message and str(folder / "train.txt") in message
    assert all(mirror in message for mirror in mirrors)
    return message


def test_a_file_arrives_once_and_is_then_found(server):
    server.pages["/train.txt"] = TEXT
    path = get(server.url("/train.txt"))
    assert path.read_bytes() == TEXT and path.parent == download_folder() / "own"
    assert get(server.url("/train.txt")) == path and len(server.asked) == 1


def test_lmtutor_data_comes_first_and_nothing_is_asked(server, tmp_path, monkeypatch):
    (tmp_path / "data" / "own").mkdir(parents=True)
    (tmp_path / "data" / "own" / "train.txt").write_bytes(TEXT)
    monkeypatch.setenv("LMTUTOR_DATA", str(tmp_path / "data"))
    assert get(server.url("/train.txt")) == tmp_path / "data" / "own" / "train.txt"
    assert server.asked == []


def test_a_mirror_that_is_down_is_passed_over(server):
    server.pages["/train.txt"] = TEXT
    closed = ThreadingHTTPServer(("127.0.0.1", 0), Handler)  # a port that nobody listens on
    closed.server_close()
    dead = f"http://127.0.0.1:{closed.server_address[1]}/train.txt"
    assert get(dead, server.url("/gone.txt"), server.url("/train.txt")).read_bytes() == TEXT


def test_when_all_mirrors_fail_each_is_named_with_its_reason(server):
    message = fails(server.url("/gone.txt"), server.url("/other.txt"))
    assert message.count("404 Not Found") == 2 and "LMTUTOR_DATA" in message


def test_servers_that_refuse_pythons_user_agent(server):
    server.pages["/polite/train.txt"] = TEXT
    assert get(server.url("/polite/train.txt")).read_bytes() == TEXT
    assert server.agents[0].startswith("lmtutor")


def test_a_truncated_body_is_refused_and_the_next_call_succeeds(server):
    server.pages["/train.txt"] = TEXT
    server.cuts["/train.txt"] = 1
    assert "there is no connection to it, or it broke off" in fails(server.url("/train.txt"))
    path = get(server.url("/train.txt"))
    assert path.read_bytes() == TEXT and {f.name for f in path.parent.iterdir()} <= {"train.txt", ".lock"}


def test_a_killed_download_leaves_nothing_in_the_way(server):
    url = server.url("/train.txt")
    server.pages["/train.txt"] = TEXT
    server.cuts["/train.txt"] = 1
    server.stalls.add("/train.txt")
    worker = multiprocessing.get_context("fork").Process(target=get, args=(url,))
    worker.start()
    folder = download_folder() / "own"
    deadline = time.monotonic() + 20
    while not any(left.stat().st_size for left in folder.glob("unfinished/*")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    worker.kill()
    worker.join()
    server.stalls.clear()
    assert not (folder / "train.txt").exists()
    assert get(url).read_bytes() == TEXT
    assert {f.name for f in folder.iterdir()} <= {"train.txt", ".lock"}


def test_an_archive_that_was_wrong_is_not_taken_for_the_next_mirrors(server):
    with zipfile.ZipFile(wrong := io.BytesIO(), "w") as zipped:
        zipped.writestr("own/train.txt", b"another text")
    server.pages["/first/own.zip"], server.pages["/second/own.zip"] = (
        wrong.getvalue(),
        archive("zip", ["own/train.txt"]),
    )
    mirrors = [server.url(f"/{place}/own.zip#own/train.txt") for place in ("first", "second")]
    assert get(*mirrors).read_bytes() == TEXT


def test_a_wrong_checksum_is_refused(server):
    server.pages["/train.txt"] = b"a different text of the same name\n"
    message = fails(server.url("/train.txt"))
    assert "checksum" in message and f"34 bytes instead of {len(TEXT):,}" in message


def test_a_web_page_instead_of_a_text(server):
    server.pages["/train.txt"] = PAGE
    assert "it is a web page" in fails(server.url("/train.txt"))


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_a_file_out_of_an_archive_which_is_asked_for_once(server, kind):
    server.pages["/own.arc"] = archive(kind, ["./own/wiki.train.tokens", "own/wiki.test.tokens"])
    url = server.url("/own.arc")
    files = get_all(f"{url}#own/wiki.train.tokens", more=[("test", (f"{url}#own/wiki.test.tokens",))])
    assert [path.read_bytes() for path in files.values()] == [TEXT, TEXT]
    assert server.asked == ["/own.arc"]
    assert {f.name for f in files["train"].parent.iterdir()} <= {"train.txt", "test.txt", ".lock"}


def test_html_instead_of_an_archive(server):
    server.pages["/own.zip"] = PAGE
    assert "a web page instead of an archive" in fails(server.url("/own.zip") + "#own/train.txt")
    server.pages["/own.zip"] = archive("zip", ["own/train.txt"])
    assert get(server.url("/own.zip") + "#own/train.txt").read_bytes() == TEXT  # the page was not kept


def test_a_broken_archive_and_one_that_lacks_the_file(server):
    whole = archive("zip", ["own/train.txt"])
    server.pages["/broken.zip"] = whole[:40] + bytes(20) + whole[60:]
    assert "the archive is broken" in fails(server.url("/broken.zip") + "#own/train.txt")
    server.pages["/half.tgz"] = archive("tgz", ["own/train.txt"])[:-30]
    fails(server.url("/half.tgz") + "#own/train.txt")
    for kind in ("gz", "bz2", "xz"):
        spoiled = bytearray(archive(kind, ["own/train.txt"]))
        for at in (len(spoiled) // 2, -6):
            spoiled[at] ^= 255
        server.pages["/spoiled"], server.pages["/good.tgz"] = bytes(spoiled), archive("tgz", ["own/train.txt"])
        fails(server.url("/spoiled") + "#own/train.txt")
        good = get(server.url("/spoiled") + "#own/train.txt", server.url("/good.tgz") + "#own/train.txt")
        assert good.read_bytes() == TEXT, kind  # from the next mirror
        good.unlink()
    server.pages["/other.zip"] = whole
    assert "holds no file own/valid.txt" in fails(server.url("/other.zip") + "#own/valid.txt")


@pytest.mark.parametrize("kind", ["zip", "tgz"])
@pytest.mark.parametrize("name", ["../outside.txt", "own/../../outside.txt", "/tmp/outside.txt", "C:\\outside.txt"])
def test_what_an_archive_holds_besides_is_written_nowhere(server, kind, name, tmp_path):
    server.pages["/own.arc"] = archive(kind, [name, "own/train.txt"])
    assert get(server.url("/own.arc") + "#own/train.txt").read_bytes() == TEXT
    written = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert written <= {"train.txt", ".lock"} and not Path("/tmp/outside.txt").exists()


def test_a_full_disk_is_said_at_once(server, monkeypatch):
    def full(self, url, file, pooch):
        file.write(b"what there was room for")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pooch.HTTPDownloader.__call__", full)
    with pytest.raises(LMTutorError, match="cannot be written .No space left on device.: .* LMTUTOR_CACHE"):
        get(server.url("/a"), server.url("/b"))
    assert [f.name for f in (download_folder() / "own").iterdir() if f.name != ".lock"] == []


def test_a_cache_folder_that_cannot_be_made(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LMTUTOR_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(LMTutorError, match="cannot be written .Not a directory.: .* point LMTUTOR_CACHE"):
        get(server.url("/train.txt"))


def _fetch_elsewhere(url, queue):
    queue.put(get(url).read_bytes() == TEXT)


def test_two_processes_at_once_download_once(server):
    server.pages["/train.txt"] = TEXT
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=_fetch_elsewhere, args=(server.url("/train.txt"), queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    assert [queue.get(timeout=30), queue.get(timeout=30)] == [True, True]
    for worker in workers:
        worker.join()
    assert server.asked == ["/train.txt"]


def test_offline_is_said_at_once_with_where_to_put_the_file(server, monkeypatch):
    monkeypatch.setenv("LMTUTOR_OFFLINE", "1")
    message = fails(server.url("/train.txt"))
    assert "LMTUTOR_OFFLINE is set" in message and server.asked == []
    with pytest.raises(LMTutorError, match="wikitext-2 is not on this machine and LMTUTOR_OFFLINE"):
        load_corpus("wikitext-2")


def test_a_catalogue_corpus_end_to_end(server, monkeypatch):
    server.pages["/train.txt"] = server.pages["/valid.txt"] = server.pages["/test.txt"] = TEXT
    files = {
        split: CatalogueFile(f"own/{split}.txt", (server.url(f"/{split}.txt"),), CHECKSUM)
        for split in ("train", "valid", "test")
    }
    own = CorpusEntry("own", "A corpus", "CC0", "us", "words", files)
    monkeypatch.setattr("lmtutor.text.corpora.catalogue", lambda: {"own": own})
    monkeypatch.setattr("lmtutor.text.catalogue.catalogue", lambda: {"own": own})
    assert not corpus_available("own")
    assert len(load_corpus("own", progress=False).train) == 16_384 and corpus_available("own")
    (download_folder() / "own" / "test.txt").write_bytes(TEXT[:-5])
    with pytest.raises(LMTutorError, match="test.txt is not what own should be .*: delete it and load again"):
        load_corpus("own")


def test_a_gutenberg_file_is_known_by_its_stories(tmp_path):
    from tests.test_catalogue import gutenberg

    stories = sherlock_stories(gutenberg())
    known = hashlib.sha256("".join(text for _, text in stories).encode()).hexdigest()
    file = CatalogueFile("gutenberg/pg1661.txt", (), f"stories:{known}")
    path = Path(tmp_path / "pg1661.txt")
    for edition, right in [(gutenberg(), True), (gutenberg(""), True), (gutenberg().replace("Some", "No"), False)]:
        path.write_bytes(edition.encode())
        assert (file.mismatch(path) == "") is right
    path.write_bytes(PAGE)
    assert "Project Gutenberg" in file.mismatch(path)
