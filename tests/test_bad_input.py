"""Whatever is wrong with a text is said in one line that names the file, the fault and the way out."""

import io
import sys
from pathlib import Path

import pytest
import torch

from lmtutor.system.errors import LMTutorError
from lmtutor.text.batches import lay_out
from lmtutor.text.corpora import load_corpus
from lmtutor.text.sources import SPLITS

GOOD = "a good line of text\n" * 40


def complaint(where, **options):
    with pytest.raises(LMTutorError) as caught:
        load_corpus(where, **options)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    return message


def complaint_about(tmp_path, content: bytes, **options):
    path = tmp_path / "own.txt"
    path.write_bytes(content)
    message = complaint(path, **options)
    assert str(path) in message
    return message


def test_empty(tmp_path):
    assert "is empty: put some text in it" in complaint_about(tmp_path, b"")


def test_only_line_ends(tmp_path):
    assert "contains only <unk>" in complaint_about(tmp_path, b"\n" * 50)


def test_one_word(tmp_path):
    message = complaint_about(tmp_path, b"word")
    assert "the split 'valid' has" in message and "give more text" in message


def test_only_unk(tmp_path):
    assert "contains only <unk>" in complaint_about(tmp_path, b"<unk> <unk>\n" * 100)


def test_latin_1(tmp_path):
    content = GOOD.encode() + "café".encode("latin-1") + GOOD.encode()
    message = complaint_about(tmp_path, content)
    assert f"is not UTF-8: byte 0xE9 at offset {len(GOOD) + 3:,};" in message and "Latin-1" in message


def test_the_offset_of_a_bad_byte_far_into_the_file(tmp_path):
    content = ("é" + "x" * 99).encode() * 7000 + b"\xc3\n"
    assert f"byte 0xC3 at offset {len(content) - 2:,};" in complaint_about(tmp_path, content)


def test_a_character_cut_off_at_the_end(tmp_path):
    assert "is not UTF-8" in complaint_about(tmp_path, GOOD.encode() + "猫".encode()[:2])


def test_nul_bytes(tmp_path):
    message = complaint_about(tmp_path, GOOD.encode() + b"a\0b\n")
    assert f"NUL byte at offset {len(GOOD) + 1:,}: it is a binary file" in message


def test_utf_16(tmp_path):
    assert "UTF-16" in complaint_about(tmp_path, GOOD.encode("utf-16-le"))


def test_a_binary_file(tmp_path):
    message = complaint_about(tmp_path, b"\x8bXYZ\r\n\x1a\n" + bytes(range(1, 256)) * 4)
    assert "byte 0x8B at offset 0;" in message


def test_one_line_of_ten_megabytes_is_read(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("ten letters " * 870_000, encoding="utf-8")
    corpus = load_corpus(path)
    assert sum(len(corpus.split(s)) for s in SPLITS) == 2 * 870_000 + 3


def test_one_word_of_ten_megabytes(tmp_path):
    message = complaint_about(tmp_path, b"x" * 10_000_000)
    assert "has 4,500,000 characters on average: text without whitespace needs" in message


def test_no_line_end_crlf_and_a_byte_order_mark_change_nothing(tmp_path):
    path = tmp_path / "own.txt"
    read = []
    for content in (GOOD, GOOD.rstrip("\n"), GOOD.replace("\n", "\r\n"), "\ufeff" + GOOD):
        path.write_bytes(content.encode())
        corpus = load_corpus(path, shares=(0.5, 0.25, 0.25))
        read.append([corpus.vocab.decode_text(corpus.split(s)) for s in SPLITS])
    assert "".join(read[0]) == "".join(read[1]) == "".join(read[2]) == "".join(read[3]) == GOOD


def test_a_missing_file_and_a_mistyped_name(tmp_path):
    assert "no such file" in complaint(tmp_path / "gone.txt")
    assert "no such file" in complaint("texts/gone.txt")
    assert "no file matches" in complaint(str(tmp_path / "*.txt"))
    message = complaint("wikitext2")
    assert "Did you mean 'wikitext-2'" in message and "Known: " in message


def test_a_folder_without_train(tmp_path):
    (tmp_path / "valid.txt").write_text(GOOD)
    message = complaint(tmp_path)
    assert f"{tmp_path} holds no file for the split 'train': name one train.txt" in message
    assert "*.txt" in message


def test_a_folder_with_two_trains(tmp_path):
    for name in ("train.txt", "ptb.train.txt", "valid.txt", "test.txt"):
        (tmp_path / name).write_text(GOOD)
    assert "more than one file for 'train': ptb.train.txt, train.txt" in complaint(tmp_path)


def test_an_empty_split_of_a_folder(tmp_path):
    for name in SPLITS:
        (tmp_path / f"{name}.txt").write_text(GOOD)
    (tmp_path / "test.txt").write_text("")
    assert f"{tmp_path / 'test.txt'} is empty" in complaint(tmp_path)


def test_too_few_documents(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(GOOD)
    assert "2 document(s) cannot be dealt to three splits" in complaint(str(tmp_path / "?.txt"))


def test_unreadable(tmp_path, monkeypatch):
    path = tmp_path / "own.txt"
    path.write_text(GOOD)
    real = Path.open

    def locked(self, *args, **kwargs):  # chmod would not stop root
        if self == path:
            raise PermissionError(13, "Permission denied")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", locked)
    assert f"'{path}' cannot be read (Permission denied): check its name and permissions" in complaint(path)


def test_empty_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert "the standard input is closed or empty" in complaint("-")


def test_more_columns_than_tokens(tmp_path):
    with pytest.raises(LMTutorError) as caught:
        lay_out(torch.arange(30), 20)
    assert str(caught.value) == (
        "30 tokens are too few for 20 columns of at least two tokens: use a batch_size of at most 15, or more text."
    )


def test_settings_without_a_meaning(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text(GOOD)
    assert "sum to 1" in complaint(path, shares=(0.9, 0.2, 0.1))
    assert "Unknown tokenizer 'letters'" in complaint(path, tokenizer="letters")
    assert "'a' is not among the 1 types" in complaint(path, specials=["<eos>"], min_count=100)
    assert "at least 256" in complaint(path, tokenizer="bpe", max_size=50)
