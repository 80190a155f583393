"""Texts of one's own: the right tokens from files, folders, patterns and pipes, and the cache of their ids."""

import io
import json
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmtutor.system import files as data_files
from lmtutor.system.errors import LMTutorError
from lmtutor.text import corpora, sources
from lmtutor.text import encoding as token_cache
from lmtutor.text.corpora import load_corpus
from lmtutor.text.vocabulary import Vocabulary


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.txt").write_text("the cat sat\n\nthe dog sat\nthe cat ran\n", encoding="utf-8")
    (tmp_path / "valid.txt").write_text("the cat ran\n", encoding="utf-8")
    (tmp_path / "test.txt").write_text("the bird ran\nno line end", encoding="utf-8")
    return tmp_path


# --- the text and its ids


def test_a_folder_of_splits(folder):
    corpus = load_corpus(folder)
    vocab = corpus.vocab
    assert vocab.tokens == ["<unk>", "<eos>", "the", "cat", "sat", "dog", "ran"]  # of the training split alone
    assert vocab.decode(corpus.train) == ("the cat sat <eos> <eos> the dog sat <eos> the cat ran <eos>".split())
    assert vocab.decode(corpus.test) == "the <unk> ran <eos> <unk> <unk> <unk> <eos>".split()
    assert corpus.train.dtype == torch.long and corpus.split("valid") is corpus.valid
    assert corpus.characters == {"train": 37, "valid": 12, "test": 25}
    assert "<unk> is 0.00 / 0.00 / 50.00 %" in corpus.note and "whitespace words" in corpus.note
    with pytest.raises(LMTutorError, match="Unknown split 'dev'"):
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
import lmtutor.text.corpora as corpora
from lmtutor.text.batches import stream_batches
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


def test_the_recorded_figures_keep_the_promise():
    """100 million tokens in a few hundred megabytes; WikiText-2 from the cache in a fifth of a second."""
    record = json.loads(data_files.path("runs/benchmark-reading/result.json").read_text())
    large, wikitext = record["large"], record["wikitext-2"]
    assert large["read afresh"]["tokens"] >= 100_000_000 and large["train"]["tokens"] > 99_000_000
    assert all(large[step]["private"] < 400 for step in ("read afresh", "start from the cache", "train"))
    assert large["start from the cache"]["processor_seconds"] < 1
    confined = large["train in 512 MiB"]  # where the system kills what takes more
    assert (confined["tokens"], confined["valid_loss"]) == (large["train"]["tokens"], large["train"]["valid_loss"])
    assert wikitext["cached"]["max"] < 0.2 and wikitext["ratio"]["max"] < 0.5
