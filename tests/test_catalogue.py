"""The corpora of the catalogue: their preparation on stand-ins, and the canonical counts on the real files."""

import json
import os
import re
import time
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from lmtutor.cli import commands as cli
from lmtutor.system import files as data_files
from lmtutor.system.errors import LMTutorError
from lmtutor.text import corpora, sources
from lmtutor.text.catalogue import catalogue
from lmtutor.text.corpora import load_corpus
from lmtutor.text.prepare import sherlock_stories, strip_licence

REAL = Path(os.environ.get("LMTUTOR_DATA") or "no such folder")
TITLES = (
    "A SCANDAL IN BOHEMIA|THE RED-HEADED LEAGUE|A CASE OF IDENTITY|THE BOSCOMBE VALLEY MYSTERY|"
    "THE FIVE ORANGE PIPS|THE MAN WITH THE TWISTED LIP|THE ADVENTURE OF THE BLUE CARBUNCLE|"
    "THE ADVENTURE OF THE SPECKLED BAND|THE ADVENTURE OF THE ENGINEER’S THUMB|"
    "THE ADVENTURE OF THE NOBLE BACHELOR|THE ADVENTURE OF THE BERYL CORONET|THE ADVENTURE OF THE COPPER BEECHES"
).split("|")
ROMAN = "I II III IV V VI VII VIII IX X XI XII".split()


def needs(*names):
    return pytest.mark.skipif(
        not all((REAL / name).exists() for name in names), reason="needs the real corpora in LMTUTOR_DATA"
    )


def test_every_entry_of_the_catalogue_is_complete():
    for entry in catalogue().values():
        assert entry.title and entry.licence and entry.source and entry.tokenizer in corpora.SCHEMES
        assert entry.prepare in corpora.PREPARATIONS
        for file in entry.files.values():
            assert file.mirrors and file.checksum and file.path
            assert all(m.startswith(("https://", "http://")) for m in file.mirrors)
    assert set(catalogue()) == {"wikitext-2", "wikitext-103", "ptb", "ptb-characters", "enwik8", "tinyshakespeare"} | {
        "sherlock",
        "sherlock-holmes",
        "baker-street",
        "addition",
        "one-billion-words",
        "chinese-poems",
    }
    listed = corpora.list_corpora()
    assert listed.here["baker-street"] and listed.types["wikitext-2"] == 33278


def test_the_catalogue_is_found_inside_an_installed_package(tmp_path, monkeypatch):
    monkeypatch.setattr(data_files, "CHECKOUT", tmp_path / "no checkout")
    monkeypatch.setattr(data_files, "INSIDE", tmp_path / "_data")
    with pytest.raises(LMTutorError, match="catalogue.toml is not here: install lmtutor again"):
        data_files.path("catalogue.toml")
    (tmp_path / "_data").mkdir()
    (tmp_path / "_data" / "catalogue.toml").write_text("")
    assert data_files.path("catalogue.toml") == tmp_path / "_data" / "catalogue.toml"
    assert data_files.find("runs") is None and not data_files.in_checkout()


def test_baker_street_knows_its_entropy_and_has_no_unknown_word():
    corpus = load_corpus("baker-street", tokens=20_000, seed=3)
    assert 20_000 <= len(corpus.train) < 25_000
    assert 1 < corpus.entropy < 5
    assert not (corpus.train == corpus.vocab.unk_id).any()
    assert load_corpus("baker-street", tokens=20_000, tokenizer="characters").entropy is None  # it is per word
    assert torch.equal(load_corpus("baker-street", tokens=20_000, seed=3).train, corpus.train)
    assert not torch.equal(load_corpus("baker-street", tokens=20_000, seed=4).train[:500], corpus.train[:500])
    with pytest.raises(LMTutorError, match="for baker-street and addition alone"):
        load_corpus("ptb", tokens=10)


def test_the_addition_set_has_right_sums_and_no_sum_twice():
    corpus = load_corpus("addition", tokens=20_000, seed=1)
    seen = set()
    for ids in (corpus.train, corpus.valid, corpus.test):
        for line in corpus.vocab.decode_text(ids).splitlines():
            a, b, total = map(int, re.fullmatch(r"(\d+)\+(\d+)=(\d+)", line).groups())
            assert a + b == total and frozenset((a, b)) not in seen
            seen.add(frozenset((a, b)))
    assert 20_000 <= len(corpus.train) < 20_012 and "Different sums" in corpus.note
    assert set(corpus.vocab.tokens) == set("0123456789+=\n")
    assert torch.equal(load_corpus("addition", tokens=20_000, seed=1).train, corpus.train)
    assert not torch.equal(load_corpus("addition", tokens=20_000, seed=2).train[:500], corpus.train[:500])
    with pytest.raises(LMTutorError, match="ask for fewer tokens"):
        load_corpus("addition", tokens=10_000_000)


BILLION = {
    "training-monolingual.tokenized.shuffled/news.en-00001-of-00100": b"The cat sat .\nA dog !\n",
    "training-monolingual.tokenized.shuffled/news.en-00002-of-00100": b"It was cold .\n",
    "heldout-monolingual.tokenized.shuffled/news.en.heldout-00000-of-00050": b"The test .\n",
    "heldout-monolingual.tokenized.shuffled/news.en.heldout-00001-of-00050": b"The valid one .\n",
    "heldout-monolingual.tokenized.shuffled/news.en-00000-of-00100": b"All that is held out .\n",
}
POEMS = {
    f"json/poet.tang.{1000 * n}.json": json.dumps(
        [{"author": "李白", "title": "静夜思", "paragraphs": [f"床前明月光{sign}", "疑是地上霜。"]} for sign in signs]
    ).encode()
    for n, signs in enumerate(["甲乙丙丁戊己庚辛壬癸", "天地玄黄宇宙洪荒日月"])
}


@pytest.mark.parametrize("by_name", [False, True])
def test_corpora_of_many_files_are_read_as_they_are_published(by_name, tmp_path, monkeypatch):
    for name in ("one-billion-words", "chinese-poems"):
        monkeypatch.setenv("LMTUTOR_DATA", str(tmp_path))
        assert not corpora.corpus_available(name)
        with pytest.raises(LMTutorError, match=r"unpack http.* as the folder .*" + name):
            load_corpus(name)
    # By name as its archive unpacks in the folder, which has a folder of its own at the top.
    top = "one-billion-words/" + "1-billion-word-language-modeling-benchmark-r13output/" * by_name
    stand_in(tmp_path, monkeypatch, {top + name: text for name, text in BILLION.items()})
    corpus = load_corpus("one-billion-words" if by_name else tmp_path / "one-billion-words")
    assert corpus.vocab.decode(corpus.train) == "The cat sat . <eos> A dog ! <eos> It was cold . <eos>".split()
    assert len(corpus.valid) == 5 and len(corpus.test) == 4 and "parts 1 and 0" in corpus.note
    stand_in(tmp_path, monkeypatch, {f"chinese-poems/{name}": text for name, text in POEMS.items()})
    where = "chinese-poems" if by_name else tmp_path / "chinese-poems"
    corpus = load_corpus(where, tokenizer="characters", boundaries=True)
    text = corpus.vocab.decode_text(corpus.train)
    assert text.count("<bos>") == 18 and text.startswith("<bos>床前明月光甲\n疑是地上霜。\n<bos>床前明月光乙\n")
    assert corpora.corpus_available(name)


def test_a_folder_with_splits_of_its_own_is_read_by_them_whatever_lies_below(tmp_path, monkeypatch):
    own = {f"{split}.txt": b"the cat sat .\n" for split in ("train", "valid", "test")}
    stand_in(tmp_path, monkeypatch, own | {f"below/{name}": text for name, text in POEMS.items()})
    assert len(load_corpus(tmp_path).train) == 5


def gutenberg(blank_lines="\n", heading="{}. {}"):
    contents = "".join(f"   {n}. {t.title()}\n" for n, t in zip(ROMAN, TITLES, strict=True))
    stories = "".join(
        heading.format(n, t) + f"\n{blank_lines}I.\n{blank_lines}_Some_ words of story {n},\nand more.{blank_lines}\n"
        for n, t in zip(ROMAN, TITLES, strict=True)
    )
    start, end = (f"*** {word} OF THE PROJECT GUTENBERG EBOOK X ***\n" for word in ("START", "END"))
    return f"\ufeffHead\n{start}Title\nContents\n{contents}{blank_lines}{stories}{end}Licence\n".replace("\n", "\r\n")


def test_the_stories_are_the_same_in_every_edition():
    stories = sherlock_stories(gutenberg())
    assert [title for title, _ in stories] == TITLES
    assert stories[1][1] == "THE RED-HEADED LEAGUE\n\nI.\n\nSome words of story II,\nand more.\n"
    assert stories == sherlock_stories(gutenberg("\n  \n\n")) == sherlock_stories(gutenberg(""))
    assert sherlock_stories(gutenberg(heading="ADVENTURE {}. {}")) == stories
    assert strip_licence(gutenberg()).startswith("Title\n")
    with pytest.raises(LMTutorError, match="Project Gutenberg"):
        strip_licence("no marks")
    with pytest.raises(LMTutorError, match="11 story titles"):
        sherlock_stories(gutenberg().replace("XII. THE", "XIII the"))


def stand_in(tmp_path, monkeypatch, files):
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    monkeypatch.setenv("LMTUTOR_DATA", str(tmp_path))


def test_stand_ins_are_read_with_a_warning(tmp_path, monkeypatch):
    stand_in(
        tmp_path,
        monkeypatch,
        {f"wikitext-103/{s}.txt": b" = Title = \n a <unk> b \n" for s in sources.SPLITS}
        | {f"ptb/{s}.txt": b" aer <unk> \n mr. N \n" for s in sources.SPLITS}
        | {"enwik8/enwik8": bytes(range(33, 133)) * 10 + "é".encode() * 100}
        | {"gutenberg/pg1661.txt": gutenberg().encode()}
        | {"tinyshakespeare/input.txt": b"A king:\nhello\n" * 20},
    )
    with pytest.warns(UserWarning, match="is not the wikitext-103 of the catalogue"):
        wikitext = load_corpus("wikitext-103")
    assert wikitext.vocab.decode(wikitext.valid) == "= Title = <eos> a <unk> b <eos>".split()
    with pytest.warns(UserWarning, match="ptb-characters"):
        spelled = load_corpus("ptb-characters")
    assert spelled.vocab.decode_text(spelled.test) == "aer <unk>\nmr. N\n" and "<unk>" not in spelled.vocab
    with pytest.warns(UserWarning, match="enwik8"):
        wiki = load_corpus("enwik8")
    assert [len(wiki.split(s)) for s in sources.SPLITS] == [1080, 60, 60]  # bytes, 90/5/5
    assert {"Ã", "©"} <= set(wiki.vocab.decode(wiki.test)) | set(wiki.vocab.decode(wiki.train))
    with pytest.warns(UserWarning, match="sherlock-holmes"):
        holmes = load_corpus("sherlock-holmes")
    assert holmes.vocab.decode_text(holmes.test).endswith("Some words of story <unk>, and more.\n")
    with pytest.warns(UserWarning, match="tinyshakespeare"):
        king = load_corpus("tinyshakespeare")
    assert len(king.vocab) == len(set("A king:\nhello\n"))


def problems(name):
    """What `lmtutor corpora verify` says of the files of a corpus."""
    done = CliRunner().invoke(cli.app, ["corpora", "verify", name])
    said = {line.partition(": ")[2].rpartition("  ")[0].replace("right", "") for line in done.output.splitlines()}
    assert done.exit_code == (said != {""})
    return said


def test_available_and_verified(tmp_path, monkeypatch):
    monkeypatch.setenv("LMTUTOR_DATA", str(tmp_path))
    assert corpora.corpus_available("baker-street") and not corpora.corpus_available("ptb")
    assert problems("ptb") == {"missing"}
    stand_in(tmp_path, monkeypatch, {f"ptb/{s}.txt": b" half \n" for s in sources.SPLITS})
    assert corpora.corpus_available("ptb")
    assert all("7 bytes instead of" in problem for problem in problems("ptb"))
    with pytest.warns(UserWarning):
        assert corpora.sample_text("ptb", characters=5) == " half"


COUNTED = [name for name, entry in catalogue().items() if entry.tokens and entry.types]


def test_the_canonical_counts_are_those_of_the_literature():
    wikitext, ptb = catalogue()["wikitext-2"], catalogue()["ptb"]
    assert (wikitext.tokens, wikitext.types) == ({"train": 2_088_628, "valid": 217_646, "test": 245_569}, 33_278)
    assert (ptb.tokens, ptb.types) == ({"train": 929_589, "valid": 73_760, "test": 82_430}, 10_000)


@pytest.mark.parametrize("name", COUNTED)
def test_real_corpora_have_the_counts_of_the_catalogue(name):
    entry = catalogue()[name]
    if not all((REAL / file.path).is_file() for file in entry.files.values()):
        pytest.skip("needs the real corpora in LMTUTOR_DATA")
    corpus = load_corpus(name)
    assert {split: len(corpus.split(split)) for split in sources.SPLITS} == entry.tokens
    assert len(corpus.vocab) == entry.types
    assert problems(name) == {""}


@needs("wikitext-2")
def test_wikitext_2_from_the_cache_is_quick():
    load_corpus("wikitext-2")
    times = []
    for _ in range(5):
        start = time.process_time()
        corpus = load_corpus("wikitext-2")
        times.append(time.process_time() - start)
    assert min(times) < 0.2
    assert corpus.vocab.decode(corpus.train[:8]) == "<eos> = Valkyria Chronicles III = <eos> <eos>".split()


@needs("gutenberg")
def test_real_holmes():
    holmes = load_corpus("sherlock-holmes", tokenizer="words")
    assert problems("sherlock-holmes") == {""}
    assert holmes.characters == {"train": 455_039, "valid": 50_736, "test": 52_798}
    assert "Gutenberg" not in holmes.vocab and "Holmes" in holmes.vocab
