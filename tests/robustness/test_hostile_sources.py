"""Catalogues, texts and options that were made to hurt: each is refused in one line, and none is waited for."""

import io
import os
import signal
import sys

import numpy as np
import pytest

from lmtutor.cli import commands as cli
from lmtutor.runs import pretrained
from lmtutor.system import files as data_files
from lmtutor.system.errors import LMTutorError
from lmtutor.text import catalogue as fetch
from lmtutor.text import sources
from lmtutor.text.corpora import OPTIONS, coverage, list_corpora, load_corpus, sample_text
from lmtutor.text.vocabulary import Vocabulary

TEXT = "the cat sat on the mat .\nthe dog sat on the log .\n" * 30
ENTRY = f"""
[own]
title = "A corpus"
licence = "CC0"
source = "us"
tokenizer = "words"
keep_specials = true
specials = ["<unk>", "<eos>"]
tokens = {{ train = 3 }}
types = 2
prepare = "one file"

[own.files.all]
path = "own/all.txt"
size = 3
checksum = "sha256:{"0" * 64}"
mirrors = ["https://example.org/all.txt"]
"""
FILE_FAULTS = [  # what takes a line's place
    *('checksum = ""', "checksum = 5", 'checksum = "zz:00"', 'checksum = "sha256:00"', 'checksum = "0000"'),
    'checksum = "md5:d41d8cd98f00b204e9800998ecf8427e"',
    *("path = 5", 'path = "../../../../../etc/passwd"', 'path = "own/../../passwd"', 'path = "/etc/passwd"'),
    *('path = "C:\\\\passwd"', 'path = "own\\\\..\\\\..\\\\passwd"', 'path = "a\\u0000b"', 'path = "."'),
    *('mirrors = "https://example.org"', "mirrors = [5]", 'size = "3"'),
]
ENTRY_FAULTS = [
    *(
        "title = 5",
        "tokenizer = [1]",
        "keep_specials = 1",
        'specials = "abc"',
        "tokens = 5",
        "tokens = { train = true }",
    ),
    *("types = nan", 'prepare = "zz"', "prepare = [1]", 'prepare = "as they are"', "unheard_of = 1", "files_of = 3"),
]


@pytest.fixture(autouse=True)
def in_time():
    """Let nothing hang: what waits for a pipe, or reads a device to its end, fails."""

    def too_long(*_):
        raise TimeoutError("this test hangs")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """An empty data folder in place of the real one, a cache, and a folder of texts that holds the entry's."""
    monkeypatch.setattr(data_files, "CHECKOUT", tmp_path / "data")
    monkeypatch.setenv("LMTUTOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LMTUTOR_DATA", str(tmp_path / "texts"))
    for folder in ("data/models", "texts/own"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "texts/own/all.txt").write_text(TEXT)
    for read in (fetch.catalogue, pretrained.pretrained_models):
        read.cache_clear()
    yield tmp_path / "data"
    for read in (fetch.catalogue, pretrained.pretrained_models):
        read.cache_clear()


def refused(call, *args, **options):
    """The message with which a call is refused."""
    with pytest.raises(LMTutorError) as caught:
        call(*args, **options)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    return message


def with_line(line):
    """The entry with another line in place of that of the same key, or with one more."""
    kept = [old for old in ENTRY.splitlines() if not old.startswith(f"{line.partition(' =')[0]} =")]
    table = "[own.files.all]" if line in FILE_FAULTS else "[own]"
    return "\n".join(kept).replace(table, f"{table}\n{line}")


# --- catalogues


def test_the_real_catalogues_pass():
    assert len(fetch.catalogue.__wrapped__()) == 12 and len(pretrained.pretrained_models.__wrapped__()) >= 6


def test_an_entry_without_a_fault_passes(data):
    (data / "catalogue.toml").write_text(ENTRY)
    with pytest.warns(UserWarning, match="not the own of the catalogue: its checksum is"):
        assert len(load_corpus("own").train) == 8 * 54


@pytest.mark.parametrize("line", FILE_FAULTS + ENTRY_FAULTS)
def test_a_fault_in_the_catalogue(data, line):
    (data / "catalogue.toml").write_text(with_line(line))
    key = line.partition(" = ")[0]
    for call in (lambda: load_corpus("own"), lambda: fetch.find_entry("own"), list_corpora):
        message = refused(call)
        assert f"{key} = " in message and f"{data / 'catalogue.toml'} is damaged (own: " in message, message


@pytest.mark.parametrize("key", ["title", "licence", "source", "tokenizer", "checksum"])
def test_a_key_that_is_missing(data, key):
    text = "\n".join(line for line in ENTRY.splitlines() if not line.startswith(f"{key} ="))
    (data / "catalogue.toml").write_text(text)
    assert f"is damaged (own: {key} = None)" in refused(load_corpus, "own")


@pytest.mark.parametrize("gone", ["train", "valid", "test", "all"])
def test_a_missing_split(data, gone):
    one = ENTRY[ENTRY.index("[own.files.all]") :]
    named = [one.replace("all", split) for split in sources.SPLITS if split != gone]
    text = ENTRY.replace(one, "") if gone == "all" else ENTRY.replace(one, "".join(named)).replace("one file", "enwik8")
    (data / "catalogue.toml").write_text(text)
    assert "takes ['all']" in refused(load_corpus, "own")
    (data / "catalogue.toml").write_text(text.replace("enwik8", "as they are").replace("one file", "ptb characters"))
    assert "takes ['test', 'train', 'valid']" in refused(load_corpus, "own")


@pytest.mark.parametrize("line", FILE_FAULTS)
def test_a_fault_in_the_catalogue_of_the_models(data, line):
    model = '[own]\ntitle = "A model"\nlicence = "CC0"\nrun = "own"\n[own.files."model.safetensors"]\n'
    (data / "models/catalogue.toml").write_text(model + line)
    assert "models/catalogue.toml is damaged (own: " in refused(pretrained.load_pretrained, "own")


@pytest.mark.parametrize("fault", ["title = 5", "licence = []", "run = true", "a file less", "a file more"])
def test_a_fault_in_the_entry_of_a_model(fault, data):
    facts = {"title": '"A model"', "licence": '"CC0"', "run": '"own"'}
    files = [*pretrained.PACKED]
    if fault.startswith("a file"):
        files = files[1:] if fault.endswith("less") else [*files, "more"]
    else:
        key, value = fault.split(" = ")
        facts[key] = value
    lines = ["[own]", *(f"{key} = {value}" for key, value in facts.items())]
    lines += [f'[own.files."{file}"]\nchecksum = "sha256:{"0" * 64}"' for file in files]
    (data / "models/catalogue.toml").write_text("\n".join(lines))
    assert "models/catalogue.toml is damaged (own: " in refused(pretrained.load_pretrained, "own")


# --- texts


@pytest.mark.parametrize("kind", ["/dev/zero", "/dev/urandom", "a pipe", "a socket"])
def test_what_is_no_plain_file(kind, tmp_path):
    path = kind if kind.startswith("/") else str(tmp_path / "special")
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        import socket

        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path)
    elif not os.path.exists(path):
        pytest.skip("no such device here")
    vocab = Vocabulary.build(TEXT.split())
    for call in (load_corpus, sample_text, lambda p: coverage(p, vocab), lambda p: load_corpus(p, vocab=vocab)):
        assert refused(call, path) == f"{path} is not a plain file: pipe its text in, with - in place of the path."


@pytest.mark.parametrize(
    "shares",
    [[float("nan")] * 3, [float("inf"), 0.1, 0.1], [0.5, 0.5], [1.5, -0.25, -0.25], ["a", "b", "c"], "abc", 5, {}, None]
    + [{0: 0.8, 1: 0.1, 2: "x"}, {"a": 0.8, "b": 0.1, "c": 0.1}, [[0.8], [0.1], [0.1]], [10**400, 0.1, 0.1]],
)
def test_shares(shares, tmp_path):
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text(TEXT)
    for path in (tmp_path / "a.txt", str(tmp_path / "*.txt")):
        assert "give three positive numbers that sum to 1" in refused(load_corpus, path, shares=shares)


def test_shares_may_be_an_array(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    assert len(load_corpus(tmp_path / "a.txt", shares=np.array([0.8, 0.1, 0.1])).train) > 0


@pytest.mark.parametrize(
    "name, said",
    [
        ("./a\0b", "'a\\x00b' cannot be read"),
        ("a\0b", "neither a corpus of the catalogue nor a path"),
        ("a\0*/b", "no file matches"),
        ("./\ud800", "'\\ud800' cannot be read"),
        ("~nosuchuser/x.txt", "~nosuchuser/x.txt: no such file"),
        ("~a\0b/x.txt", "cannot be read"),
    ],
)
def test_names_that_cannot_be(name, said):
    assert said in refused(load_corpus, name) and said in refused(sample_text, name)


def test_empty_documents(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.dat").write_bytes(b"")
    assert ".dat is empty: put some text in it" in refused(load_corpus, str(tmp_path / "*.dat"))


def closed():
    stream = io.TextIOWrapper(io.BytesIO(TEXT.encode()))
    stream.close()
    return stream


STANDARD_INPUTS = {
    "none": lambda: None,
    "closed": closed,
    "for writing": lambda: io.TextIOWrapper(io.BufferedWriter(io.BytesIO())),
}


@pytest.mark.parametrize("kind", STANDARD_INPUTS)
def test_a_standard_input_that_cannot_be_read(kind, monkeypatch):
    monkeypatch.setattr(sys, "stdin", STANDARD_INPUTS[kind]())
    assert "the standard input is closed or empty" in refused(load_corpus, "-")


@pytest.mark.parametrize("arguments", ["tokenize -", "tokenize /dev/zero", "corpora describe ~nosuchuser/x.txt"])
def test_on_the_command_line(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setattr(sys, "argv", ["lmtutor", *arguments.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


# --- options


WRONG = {
    "true or false": [None, "no", "False", 0, 1, [], 0.0, float("nan")],
    "an integer of at least 1": [0, -1, True, 1.0, 1e300, float("inf"), float("nan"), "3", [3]],
    "an integer": [True, 1.0, "3", float("nan")],
    "a list of strings": [[1, 2], "abc", 5, {"a": 1}, [None], (1,)],
    "a string": [5, True, ["utf-8"]],
    "a tokenizer or the name of one": [5, [1], True, Vocabulary(["a"])],
    "a Vocabulary": ["abc", [], 5],
}


@pytest.mark.parametrize(
    "option, wanted, value",
    [(name, wanted, value) for name, (_, wanted) in OPTIONS.items() for value in WRONG[wanted]],
)
def test_an_option_of_the_wrong_kind(option, wanted, value):
    message = refused(load_corpus, "baker-street", **{option: value})
    assert message == f"{option} must be {wanted} (got {value!r:.200})."


def test_min_count_cannot_be_left_out():
    assert "min_count must be" in refused(load_corpus, "baker-street", min_count=None)


def test_options_of_the_right_kind(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    options = dict(nfkc=True, lower=False, min_count=1, max_size=50, specials=("<unk>", "<eos>"), boundaries=False)
    assert load_corpus(tmp_path / "a.txt", tokenizer="words", **options).vocab.tokens[:2] == ["<unk>", "<eos>"]
