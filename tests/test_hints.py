"""Where a scheme does not fit a text it is said, and nowhere else; commands that need no splits make none."""

import gzip
import io
import sys

import pytest

import lmtutor as lm
from lmtutor.cli import commands as cli

PROSE = "He looked up, and said: “It is late.” She came in; the lamp was lit.\n" * 60
MISFITS = {
    "no blanks": ("夜の街に雨が降る。探偵は歩いた。\n" * 60, "words", "no spaces between words"),
    "no blanks, Treebank": ("侦探走进房间，看了看窗外。\n" * 60, "treebank", "no spaces between words"),
    "no blanks, Thai": ("เขาเดินเข้าไปในห้องแล้วมองออกไปนอกหน้าต่าง\n" * 60, "words", "no spaces between words"),
    "JSON": ('{"text": "the cat sat"}\n' * 600, "words", "this is JSON or XML"),
    "XML": ('<?xml version="1.0"?>\n' + "<p>the cat sat</p>\n" * 600, "characters", "this is JSON or XML"),
    "no blanks, Tibetan": ("བོད་སྐད་ནི་བོད་ཀྱི་སྐད་ཡིག་རེད།\n" * 60, "words", "no spaces between words"),
    "a table with commas": ("id,text,n\n" + '1,"the cat sat",2\n' * 600, "words", "looks like a table"),
    "a table with tabs": ("id\ttext\n" + "1\tthe cat, and the dog\n" * 600, "treebank", "looks like a table"),
    "signs at words": (PROSE, "words", "stick to the words"),
    "unknown": ("a b c d\n" * 540 + "e f g h\n" * 60, "words", "% of the tokens are unknown"),
}
FITTING = {
    "characters": ("夜の街に雨が降る。探偵は歩いた。\n" * 60, "characters"),
    "byte pairs": ("侦探走进房间，看了看窗外。\n" * 60, "bpe"),
    "Treebank words": (PROSE, "treebank"),
    "tokens": (
        "the cat sat , and the dog sat on the mat with it all night . Mr. Pell came and went by night .\n" * 60,
        "words",
    ),
    "lists": ("red, green, blue\n" * 60, "treebank"),
    "indented": ("\tthe cat sat\n" * 60, "words"),
    "Russian": ("Что она видит ? Ничего , кроме моря .\n" * 60, "words"),
}


@pytest.mark.parametrize("text, tokenizer, says", MISFITS.values(), ids=MISFITS)
def test_a_scheme_that_does_not_fit(text, tokenizer, says, tmp_path):
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    note = lm.load_corpus(tmp_path / "a.txt", tokenizer=tokenizer).note
    assert says in note.partition("Hint: ")[2]


@pytest.mark.parametrize("text, tokenizer", FITTING.values(), ids=FITTING)
def test_a_scheme_that_fits(text, tokenizer, tmp_path):
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    assert "Hint" not in lm.load_corpus(tmp_path / "a.txt", tokenizer=tokenizer).note


def test_tables_read_as_words(tmp_path):
    (tmp_path / "a.tsv").write_text("id\ttext\n" + "1\tthe cat\n" * 200)
    assert "name the column that is the text" in lm.load_corpus(tmp_path / "a.tsv").note


def test_full_stops_of_other_scripts_end_sentences(tmp_path):
    text = "他来了。“你好吗？”她问道！「はい。」彼は言った。\n"
    (tmp_path / "a.txt").write_text(text * 50, encoding="utf-8")
    corpus = lm.load_corpus(tmp_path / "a.txt", tokenizer="treebank")
    sentences = corpus.vocab.decode_text(corpus.train).split("\n")
    assert len(sentences) >= 5 * 45 and sentences[0] == "他来了。" and sentences[3:5] == ["「はい。」", "彼は言った。"]


@pytest.fixture
def command(monkeypatch, capsys):
    """The command, with a text piped in: the lines that it prints."""

    def call(*words, text=""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        cli.app(list(words), standalone_mode=False)
        return capsys.readouterr().out.splitlines()

    return call


@pytest.mark.parametrize(
    "tokenizer, tokens", [("words", ["How", "are", "you?"]), ("treebank", ["How", "are", "you", "?"])]
)
def test_one_sentence_is_cut_whole(command, tokenizer, tokens):
    lines = command("tokenize", "-", "--tokenizer", tokenizer, text="How are you?\n")
    assert [line.split()[1].strip("'") for line in lines] == [*tokens, "<eos>"]
    assert command("corpora", "sample", "-", text="How are you?\n")[0] == "How are you?"


def test_a_model_of_words_says_when_a_text_is_not_cut(command):
    raw, cut = "It is late. She came in, and sat down.", "It is late . She came in , and sat down ."
    said = [command("evaluate", "lstm-200-wikitext-2", text)[-1] for text in (raw, cut)]
    assert "stick to the words" in said[0] and "Hint" not in said[1]


def test_a_split_of_ones_own_text(command, tmp_path):
    (tmp_path / "a.txt").write_text("the cat\n" * 90 + "the dog\n" * 10)
    assert command("corpora", "sample", str(tmp_path / "a.txt"), "--split", "test")[0] == "the dog"
    assert len(command("tokenize", str(tmp_path / "a.txt"), "--split", "test")) == 15
    assert len(command("tokenize", str(tmp_path / "a.txt"), "--limit", "999")) == 300


def test_encodings_on_the_command_line(command, tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(("Что она видит ?\n" * 90).encode("koi8-r")))
    option = ("--encoding", "koi8-r")
    assert command("tokenize", str(path), *option)[0].endswith("'Что'")
    assert command("corpora", "sample", str(path), *option)[0] == "Что она видит ?"
    assert "0.00 / 0.00 / 0.00 %" in command("corpora", "describe", str(path), *option)[0]
    assert any("'Что'" in line for line in command("vocabulary", str(path), *option))
    model = "lstm-characters-tinyshakespeare"
    path.write_bytes("ROMEO: no\n".encode("utf-16"))
    assert "perplexity" in command("score", model, str(path))[-1]
    path.write_bytes("ROMEO: no\n".encode("utf-16-be"))
    assert "perplexity" in command("evaluate", model, str(path), "--encoding", "utf-16-be")[0]
