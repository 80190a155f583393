"""One reader for files, standard input and strings: what it makes of a text does not depend on where it came from."""

import io
import os
import re
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lmtutor as lm
from lmtutor.text import sources, tokenizers
from lmtutor.text.encoding import encode_whole
from lmtutor.text.sources import read_text
from lmtutor.text.tokenizers import Normalisation, Tokenizer
from lmtutor.text.vocabulary import Vocabulary

TEXTS = {
    "plain": b"The cat sat .\nIt purred .\n",
    "byte order mark": b"\xef\xbb\xbfThe cat sat .\nIt purred .\n",
    "carriage returns and line feeds": b"The cat sat .\r\nIt purred .\r\n",
    "carriage returns": b"The cat sat .\rIt purred .\r",
}


@pytest.mark.parametrize("raw", TEXTS.values(), ids=TEXTS.keys())
def test_wherever_it_comes_from(raw, tmp_path, monkeypatch):
    path = tmp_path / "text.txt"
    path.write_bytes(raw)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    texts = {read_text(str(path)), read_text("-"), read_text(raw.decode())}
    assert texts == {"The cat sat .\nIt purred .\n"}


def test_no_line_end_is_added():
    assert read_text("How are you ?") == "How are you ?"
    assert read_text("\ufeffa\r\nb") == "a\nb"


def test_a_file_that_is_missing_is_no_text():
    """Its name would have a perplexity, too: with characters or byte pairs, nobody would notice."""
    for name in (
        "letter.txt",
        "letters/a.jsonl.gz:text",
        "C:\\mine\\novel.ZIP",
        "ptb.tokens",
        "r.csv:a column",
        "~/no",
    ):
        with pytest.raises(lm.LMTutorError, match="no such file"):
            read_text(name)
    for text in (
        "and/or",
        "U.S.",
        "3.5",
        "example.org",
        "see letter.txt",
        "/ or not /",
        ".",
        "...",
        "a.txt\n",
        "n.txt: so it is",
        "x" * 5000 + ".txt",
    ):
        assert read_text(text) == text


def test_a_folder_is_no_text(tmp_path):
    for path in (tmp_path, f"{tmp_path}", f"{tmp_path}/"):
        with pytest.raises(lm.LMTutorError, match="is not a plain file: name a file in it"):
            read_text(path)


def test_a_pipe_or_a_link_that_leads_nowhere_is_no_text(tmp_path, monkeypatch):
    """Also ``/dev/stdin`` and the shell's ``<(…)``, which are pipes: their names were scored, and not their text."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    os.symlink("loop", "loop")
    for name, why in {"pipe": "pipe its text in", "loop": "cannot be read", "/dev/null": "pipe its text in"}.items():
        with pytest.raises(lm.LMTutorError, match=why):
            read_text(name)


def test_a_text_of_any_size_is_read_in_little_memory():
    vocab = Vocabulary.build("<unk> the cat sat on a mat .".split())
    peaks = []
    for times in (100, 1000):  # 0.3 and 3 MB, in blocks
        tracemalloc.start()
        ids, characters = encode_whole(("the cat sat on the hat .\n" * 125 for _ in range(times)), vocab)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert characters == times * 125 * 25
        assert ids.tolist() == vocab.encode_text("the cat sat on the hat .\n").tolist() * 125 * times
    assert peaks[1] < peaks[0] + 100_000


def test_standard_input_that_is_empty_or_closed(monkeypatch):
    for stream in (None, io.TextIOWrapper(io.BytesIO(b""))):
        monkeypatch.setattr(sys, "stdin", stream)
        with pytest.raises(lm.LMTutorError, match="pipe a text into it"):
            read_text("-")


def test_a_file_is_scored_whole(tmp_path):
    model, vocab = lm.load_pretrained("lstm-200-wikitext-2")
    path = tmp_path / "text.txt"
    path.write_bytes(TEXTS["byte order mark"])
    score = lm.evaluate(model, path, vocab=vocab)
    assert score.tokens == 8 and score.characters == 26
    assert score.nats == lm.evaluate(model, "The cat sat .\nIt purred .\n", vocab=vocab).nats
    with pytest.raises(lm.LMTutorError, match="no such file"):
        lm.evaluate(model, tmp_path / "other.txt", vocab=vocab)


# What a text may be made of: line ends of each kind, blank lines, what ends a sentence and what only seems to.
PARTS = [*"aA.?!,'\"[—…“”’\ue001\u0301Σ´\x85\u2028。」！", " ", "  ", "\n", "\n\n", " \n", "\n ", "\t", "\r", "\r\n"]
PARTS += ["Mr. ", "Mr.", "e.g. ", "Holmes ", "he said", " He ", "3.5", "...", "?!", '!?" ', ".) ", "--", "<unk>"]
LEARNED = ["Mr. Holmes saw it at 3 p.m. He said, e.g. to Mr. Watson, nothing.\n“Is it?” It was 3.5.\n\n"] * 20
FITTED = [kind().fit(LEARNED) for kind in Tokenizer.kinds.values()]
ALL_CHANGED = [kind(Normalisation(True, True, True)).fit(LEARNED) for kind in Tokenizer.kinds.values()]


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=40).map("".join), st.integers(1, 30))
def test_tokens_do_not_depend_on_where_a_text_is_cut_in_blocks(text, size):
    whole = re.sub("\r\n?", "\n", text)
    whole += "" if whole.endswith("\n") else "\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "BLOCK", size)
        blocks = [*sources.blocks([sources.Span(text.encode())])]
    assert "".join(blocks) == whole
    for tokenizer in FITTED + ALL_CHANGED:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tokenizers, "PIECE", size)
            tokens = [token for block in tokenizer.tokenize_blocks(blocks) for token in block]
        assert tokens == tokenizer.tokenize(whole), tokenizer


@pytest.mark.parametrize("name", ["words", "characters", "bpe"])
def test_an_endless_line_is_cut_into_tokens_in_little_memory(name):
    """As the text8 of many papers is: 100 million characters without a line end."""
    tokenizer = next(one for one in FITTED if one.name == name)
    peaks = []
    for words in (40_000, 160_000):
        text = " ".join(["the", "cat"] * words)
        tracemalloc.start()
        count = sum(map(len, tokenizer.tokenize_blocks([text])))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count >= 2 * words
    assert peaks[1] < 2 * peaks[0] + 1_000_000


def test_what_punkt_takes_back_when_more_comes():
    """It ends a sentence after the `?` of `?!` until a word follows, and moves a quotation mark back over an end."""
    for text in ("He ?!'!\n)", "So?!\nNo.", '“He saw it."\n" He was.', "It is Mr.\nHolmes at 3 p.m.\nHe said."):
        for tokenizer in FITTED:
            by_line = tokenizer.tokenize_blocks(text.splitlines(keepends=True))
            assert [token for line in by_line for token in line] == tokenizer.tokenize(text)


def test_what_is_learned_does_not_depend_on_blocks_either(monkeypatch):
    text = "".join(LEARNED) * 60
    for kind in ("treebank", "bpe"):
        learned = [Tokenizer.kinds[kind]().fit(texts).to_dict() for texts in ([text], text.splitlines(keepends=True))]
        assert learned[0] == learned[1]


def test_sentences_over_many_blocks(tmp_path):
    """Blocks cut no sentence in two: only the borders of the splits may."""
    line = "The lamps were lit before the rain\ncame down on the street, and the cab\nstood by the door. "
    (tmp_path / "t.txt").write_text((line * 4000).replace(". ", ".\n"))
    corpus = lm.load_corpus(tmp_path / "t.txt", tokenizer="treebank")
    ends = [int((corpus.split(split) == corpus.vocab.eos_id).sum()) for split in sources.SPLITS]
    assert 4000 <= sum(ends) <= 4002


def test_blanks_at_every_line_start_go(tmp_path):
    (tmp_path / "t.txt").write_text("  indented by two\n" * 5000)
    corpus = lm.load_corpus(tmp_path / "t.txt", tokenizer="characters", whitespace=True)
    for split in sources.SPLITS:
        text = corpus.vocab.decode_text(corpus.split(split))
        assert not text.startswith(" ") and "\n " not in text


@pytest.mark.parametrize("line_end", ["\r", "\r\n"])
def test_splits_end_where_lines_end(line_end, tmp_path):
    tokens = {}
    for end in ("\n", line_end):
        (tmp_path / "t.txt").write_text("a line of five words\n" * 400, newline=end)
        corpus = lm.load_corpus(tmp_path / "t.txt")
        tokens[end] = [len(corpus.split(split)) for split in sources.SPLITS]
        assert all(corpus.split(split)[-1] == corpus.vocab.eos_id for split in sources.SPLITS)
    assert tokens["\n"] == tokens[line_end] == [2160, 120, 120]
