"""Corpora: the right tokens from names, files, folders, patterns and pipes; the cache; the canonical counts."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmtutor import corpora, data_files, sources, token_cache
from lmtutor.corpora import load_corpus
from lmtutor.errors import LMTutorError
from lmtutor.fetch import catalogue
from lmtutor.prepare import sherlock_stories, strip_licence
from lmtutor.text import Vocabulary

REAL = Path(os.environ.get("LMTUTOR_DATA") or "no such folder")
TITLES = (
    "A SCANDAL IN BOHEMIA|THE RED-HEADED LEAGUE|A CASE OF IDENTITY|THE BOSCOMBE VALLEY MYSTERY|"
    "THE FIVE ORANGE PIPS|THE MAN WITH THE TWISTED LIP|THE ADVENTURE OF THE BLUE CARBUNCLE|"
    "THE ADVENTURE OF THE SPECKLED BAND|THE ADVENTURE OF THE ENGINEER’S THUMB|"
    "THE ADVENTURE OF THE NOBLE BACHELOR|THE ADVENTURE OF THE BERYL CORONET|THE ADVENTURE OF THE COPPER BEECHES"
).split("|")
ROMAN = "I II III IV V VI VII VIII IX X XI XII".split()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.txt").write_text("the cat sat\n\nthe dog sat\nthe cat ran\n", encoding="utf-8")
    (tmp_path / "valid.txt").write_text("the cat ran\n", encoding="utf-8")
    (tmp_path / "test.txt").write_text("the bird ran\nno line end", encoding="utf-8")
    return tmp_path


def needs(*names):
    return pytest.mark.skipif(
        not all((REAL / name).exists() for name in names), reason="needs the real corpora in LMTUTOR_DATA"
    )


# --- the text and its ids


def test_a_folder_of_splits(folder):
    corpus = load_corpus(folder)
    vocab = corpus.vocab
    assert vocab.tokens == ["<unk>", "<eos>", "the", "cat", "sat", "dog", "ran"]  # of the training split alone
    assert vocab.decode(corpus.train) == (
        "the cat sat <eos> <eos> the dog sat <eos> the cat ran <eos>".split()
    )
    assert vocab.decode(corpus.test) == "the <unk> ran <eos> <unk> <unk> <unk> <eos>".split()
    assert corpus.train.dtype == torch.long and corpus.split("valid") is corpus.valid
    assert corpus.characters == {"train": 37, "valid": 12, "test": 25}
    assert "<unk> is 0.00 / 0.00 / 50.00 %" in corpus.note and "whitespace words" in corpus.note
    with pytest.raises(LMTutorError, match="no split is called 'dev'"):
        corpus.split("dev")


def test_report_and_coverage(folder):
    corpus = load_corpus(folder)
    report = corpus.report()
    assert report.tokens.tolist() == [13, 4, 8] and report.unk_rate.tolist() == [0, 0, 0.5]
    assert report.characters_per_token["train"] == pytest.approx(37 / 13)
    covered = corpora.coverage(folder, corpus.vocab)
    assert covered.oov_tokens.tolist() == [0, 0, 4] and covered.oov_types.tolist() == [0, 0, 4]


def test_names_that_other_toolkits_give_their_splits(folder):
    for old, new in [("train.txt", "wiki.train.tokens"), ("valid.txt", "ptb.val.txt"), ("test.txt", "my-test")]:
        (folder / old).rename(folder / new)
    assert len(load_corpus(folder).train) == 13


def test_vocabulary_settings_reach_the_corpus(folder):
    assert load_corpus(folder, max_size=4).vocab.tokens == ["<unk>", "<eos>", "the", "cat"]
    assert load_corpus(folder, min_count=2).vocab.tokens == ["<unk>", "<eos>", "the", "cat", "sat"]
    lower = load_corpus(folder, lower=True, specials=["<unk>", "<eos>", "<bos>", "<pad>"])
    assert lower.vocab.pad_id == 3 and "normalised: lower" in lower.note


def test_a_given_vocabulary_is_used_with_its_tokenizer(folder):
    vocab = Vocabulary.build("the bird <eos>".split())
    corpus = load_corpus(folder, vocab=vocab)
    assert corpus.vocab is vocab and "of another text" in corpus.note
    assert vocab.decode(corpus.test)[:4] == ["the", "bird", "<unk>", "<eos>"]


@pytest.mark.parametrize("tokenizer", ["words", "characters", "treebank", "bpe"])
def test_every_tokenizer_reads_a_file_and_says_it_back(tmp_path, tokenizer):
    text = "Mr. Pell came in. He had 3 cats.\n\nThey sat.\n" * 40
    (tmp_path / "t.txt").write_text(text, encoding="utf-8")
    corpus = load_corpus(tmp_path / "t.txt", tokenizer=tokenizer)
    assert corpus.vocab.tokenizer.fitted and corpus.vocab.tokenizer.name == tokenizer
    back = corpus.vocab.decode_text(corpus.train).split()
    assert back == text.split()[: len(back)]
    assert sum(corpus.characters.values()) == len(text)
    again = load_corpus(tmp_path / "t.txt", tokenizer=tokenizer)  # from the cache
    assert again.vocab == corpus.vocab and torch.equal(again.train, corpus.train)


@pytest.mark.parametrize(
    "text",
    ["夜の街に雨が降る。探偵は歩いた。\n", "侦探走进房间，看了看窗外。\n", "Сыщик молчал.\n", "बारिश रात भर हुई।\n"],
)
def test_characters_of_any_script(tmp_path, text):
    (tmp_path / "t.txt").write_text(text * 30, encoding="utf-8")
    corpus = load_corpus(tmp_path / "t.txt", tokenizer="characters")
    assert set(corpus.vocab.tokens) == set(text) | {"<unk>"}
    joined = "".join(corpus.vocab.decode_text(ids) for ids in (corpus.train, corpus.valid, corpus.test))
    assert joined == text * 30


# --- where a text comes from


def test_one_file_is_split_by_shares_at_line_ends(tmp_path):
    lines = [f"line number {i}\n" for i in range(1000)]
    (tmp_path / "t.txt").write_text("".join(lines), encoding="utf-8")
    corpus = load_corpus(tmp_path / "t.txt", shares=(0.8, 0.1, 0.1))
    sizes = [len(corpus.split(s)) / 4 for s in sources.SPLITS]
    assert sizes == [int(n) for n in sizes] and sum(sizes) == 1000
    assert abs(sizes[0] - 800) < 10 and abs(sizes[1] - 100) < 10
    assert "80 / 10 / 10 %" in corpus.note


@given(st.text("aé猫 \n", min_size=1, max_size=300), st.sampled_from([(0.8, 0.1, 0.1), (0.34, 0.33, 0.33)]))
def test_shares_tile_the_text_and_cut_no_character(text, shares):
    splits, _ = sources.by_shares(sources.Span(text.encode()), shares)
    parts = [text.encode()[slice(*splits[name][0].bounds)] for name in sources.SPLITS]
    assert b"".join(parts) == text.encode()
    assert "".join(part.decode() for part in parts) == text


def test_one_endless_line_is_split_between_words(tmp_path):
    (tmp_path / "t.txt").write_text("word " * 200, encoding="utf-8")
    corpus = load_corpus(tmp_path / "t.txt")
    assert [int((corpus.split(s) == corpus.vocab["word"]).sum()) for s in sources.SPLITS] == [180, 10, 10]


def test_a_pattern_makes_documents(tmp_path):
    for i in range(10):
        (tmp_path / f"doc{i}.txt").write_text(f"this is document {i}\n", encoding="utf-8")
    corpus = load_corpus(str(tmp_path / "*.txt"), shares=(0.6, 0.2, 0.2), boundaries=True)
    assert "whole documents in the order of their names: 6 / 2 / 2" in corpus.note
    assert int((corpus.train == corpus.vocab.bos_id).sum()) == 6
    assert corpus.vocab.decode(corpus.train[:6]) == "<bos> this is document 0 <eos>".split()
    without = load_corpus(str(tmp_path / "*.txt"), shares=(0.6, 0.2, 0.2))
    assert len(without.train) == 30 and without.vocab.bos_id is None


@given(st.lists(st.integers(1, 50), min_size=3, max_size=30))
def test_documents_are_dealt_whole_and_each_split_gets_one(sizes):
    spans = [sources.Span(b"x" * n, label=str(i)) for i, n in enumerate(sizes)]
    splits, _ = sources.by_documents(spans, (0.8, 0.1, 0.1))
    assert [s for name in sources.SPLITS for s in splits[name]] == spans
    assert all(splits[name] for name in sources.SPLITS)


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one two three\n" * 60)))
    corpus = load_corpus("-")
    assert len(corpus.train) + len(corpus.valid) + len(corpus.test) == 240


def test_blocks_do_not_depend_on_where_they_are_cut(tmp_path, monkeypatch):
    text = "naïve\r\ncafé 猫\r\n\r\nend" * 50
    (tmp_path / "t.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    span = [sources.Span(tmp_path / "t.txt")]
    for size in (1, 2, 3, 7, 1000):
        monkeypatch.setattr(sources, "BLOCK", size)
        assert "".join(sources.blocks(span)) == text.replace("\r\n", "\n") + "\n"


# --- the cache of ids


def test_the_cache_is_keyed_by_content_and_settings(folder, monkeypatch):
    built = []
    build = token_cache._build
    monkeypatch.setattr(token_cache, "_build", lambda *args: built.append(1) or build(*args))

    def builds(**options):
        built.clear()
        load_corpus(folder, **options)
        return len(built)

    (folder / "train.txt").write_text(f"{folder} is new to the cache\n", encoding="utf-8")
    assert [builds(), builds(), builds(lower=True), builds(lower=True), builds(min_count=2)] == [1, 0, 1, 0, 1]
    (folder / "train.txt").write_text(f"{folder} is again new to the cache\n", encoding="utf-8")
    assert builds() == 1
    os.utime(folder / "train.txt", (0, 0))
    assert builds() == 0  # content counts, dates do not


def test_a_broken_cache_is_built_again(folder):
    (folder / "train.txt").write_text("broken cache broken cache\n", encoding="utf-8")
    first = load_corpus(folder)
    whole = first.train.tolist()
    newest = max((data_files.cache_folder() / "tokens").iterdir(), key=lambda f: f.stat().st_mtime)
    (newest / "train.ids").write_bytes(b"half")
    assert load_corpus(folder).train.tolist() == whole


def test_writing_to_a_tensor_leaves_the_cache_alone(folder):
    first = load_corpus(folder)
    before = first.train.tolist()
    first.train.zero_()
    assert load_corpus(folder).train.tolist() == before


def test_a_cache_that_cannot_be_written_is_no_obstacle(folder, tmp_path, monkeypatch):
    (tmp_path / "a file").write_text("in the way")
    monkeypatch.setenv("LMTUTOR_CACHE", str(tmp_path / "a file" / "below"))
    assert len(load_corpus(folder).train) == 13


GENERATED = """
import random, resource, sys, time
from pathlib import Path
import torch
import lmtutor.corpora as corpora
from lmtutor.batches import stream_batches
rng = random.Random(1)
words = [f"w{i}" for i in range(5000)]
path = Path(sys.argv[1])
with path.open("w") as file:
    for _ in range(int(sys.argv[2]) // 50_000):
        file.write((" ".join(rng.choices(words, k=499)) + "\\n") * 100)
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
corpus = corpora.load_corpus(path)
start = time.process_time()
corpus = corpora.load_corpus(path)
seconds = time.process_time() - start
for i, batch in enumerate(stream_batches(corpus.train, 20, 35)):
    if i == 50:
        break
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(len(corpus.train), (peak - base) // 1024, seconds)
"""


def test_a_large_text_needs_little_memory(tmp_path):
    command = [sys.executable, "-c", GENERATED, str(tmp_path / "big.txt"), "2000000"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    tokens, megabytes, seconds = run.stdout.split()
    assert int(tokens) == 1_800_500  # 14 MB of ids in the training split; as Python strings they would be 100 MB
    assert int(megabytes) < 40 and float(seconds) < 1


# --- the catalogue


def test_every_entry_of_the_catalogue_is_complete():
    for entry in catalogue().values():
        assert entry.title and entry.licence and entry.source and entry.tokenizer in corpora.RULES
        assert entry.prepare in corpora.PREPARATIONS
        for file in entry.files.values():
            assert file.mirrors and (file.checksum or file.stories)
            assert all(m.startswith(("https://", "http://")) for m in file.mirrors)
    assert set(catalogue()) == {"wikitext-2", "wikitext-103", "ptb", "ptb-characters", "enwik8", "tinyshakespeare"} | {
        "sherlock",
        "sherlock-holmes",
        "baker-street",
    }
    listed = corpora.list_corpora()
    assert listed.here["baker-street"] and listed.types["wikitext-2"] == 33278


def test_the_catalogue_is_found_inside_an_installed_package(tmp_path, monkeypatch):
    monkeypatch.setattr(data_files, "CHECKOUT", tmp_path / "no checkout")
    monkeypatch.setattr(data_files, "INSIDE", tmp_path / "_data")
    with pytest.raises(LMTutorError, match="catalogue.toml was not found"):
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
    with pytest.raises(LMTutorError, match="for 'baker-street' alone"):
        load_corpus("ptb", tokens=10)


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
    with pytest.raises(LMTutorError, match="whole Project Gutenberg file"):
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


def test_available_and_verified(tmp_path, monkeypatch):
    monkeypatch.setenv("LMTUTOR_DATA", str(tmp_path))
    assert corpora.corpus_available("baker-street") and not corpora.corpus_available("ptb", fetch=True)
    assert corpora.verify_corpus("ptb").problem.tolist() == ["missing"] * 3
    stand_in(tmp_path, monkeypatch, {f"ptb/{s}.txt": b" half \n" for s in sources.SPLITS})
    assert corpora.corpus_available("ptb")
    assert corpora.verify_corpus("ptb").problem.str.contains("7 bytes instead of").all()
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
    assert corpora.verify_corpus(name).problem.eq("").all()


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
    assert corpora.verify_corpus("sherlock-holmes").problem.tolist() == [""]
    assert holmes.characters == {"train": 455_039, "valid": 50_736, "test": 52_798}
    assert "Gutenberg" not in holmes.vocab and "Holmes" in holmes.vocab
