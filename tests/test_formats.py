"""A file is read by what it holds: packed, in another encoding, a table; or it is named for what it is."""

import bz2
import codecs
import csv
import gzip
import io
import json
import lzma
import pickle
import random
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lmtutor as lm
from lmtutor.text import formats
from lmtutor.text.sources import blocks, read_text, text_span

TEXT = "The cat sat .\nЧто она видит ?\n夜の猫。\n" * 20


def zipped(*names, raw=b"a text"):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, raw)
    return packed.getvalue()


def zipped_on_a_mac(raw):
    packed = io.BytesIO(zipped("a.txt", raw=raw))
    with zipfile.ZipFile(packed, "a") as archive:
        for name in ("__MACOSX/._a.txt", ".DS_Store"):
            archive.writestr(name, b"\0\5\x16\7")
    return packed.getvalue()


PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zip": lambda raw: zipped("a/é.txt", raw=raw)}
PACKERS["zip of a Mac"] = zipped_on_a_mac


@pytest.mark.parametrize("kind", PACKERS)
def test_packed_texts(kind, tmp_path, monkeypatch):
    """By their first bytes, whatever they are called, from a file and from a pipe."""
    path = tmp_path / "novel.txt"
    path.write_bytes(PACKERS[kind](TEXT.encode()))
    assert read_text(str(path)) == TEXT
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    assert read_text("-") == TEXT
    corpus = lm.load_corpus(path)
    plain = tmp_path / "plain.txt"
    plain.write_text(TEXT, encoding="utf-8")
    assert [corpus.split(s).tolist() for s in ("train", "test")] == [
        lm.load_corpus(plain).split(s).tolist() for s in ("train", "test")
    ]


@pytest.mark.parametrize("encoding", ["cp1251", "utf-16-le", "utf-16-be", "utf-16", "utf-32", "gb18030", "shift_jis"])
def test_encodings(encoding, tmp_path):
    text = {"cp1251": "Что она видит ?\r\n", "gb18030": "侦探走进。\r\n", "shift_jis": "夜の猫。\r\n"}.get(
        encoding, TEXT
    )
    for name, pack in {"a.txt": bytes, "a.gz": gzip.compress}.items():
        (tmp_path / name).write_bytes(pack((text * 40).encode(encoding)))
        assert read_text(str(tmp_path / name), encoding) == text.replace("\r", "") * 40
    corpus = lm.load_corpus(tmp_path / "a.txt", tokenizer="characters", encoding=encoding)
    assert corpus.vocab.decode_text(corpus.train).startswith(text[:4])
    if encoding in ("utf-16", "utf-32"):  # a byte order mark says so
        assert read_text(str(tmp_path / "a.txt")) == text * 40


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(
    "text", ["侦探走进房间，看了看窗外。", "The cat sat .\n", "Что она видит ?\n", "夜の街に、雨が降る\n"]
)
def test_wide_characters_without_a_mark_are_named(order, text, tmp_path):
    (tmp_path / "a.txt").write_bytes((text * 300).encode(order))
    kind = order[:6].upper()
    with pytest.raises(lm.LMTutorError, match=f"is {kind} without a byte order mark: say so with --encoding {order}"):
        lm.load_corpus(tmp_path / "a.txt")


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\n"), min_size=2))
def test_plain_text_is_never_taken_for_anything_else(text):
    file = io.BytesIO(text.encode())
    assert formats.plain_text(file, "a.txt") is None


@pytest.mark.parametrize(
    "encoding, text, likely",
    [
        ("shift_jis", "夜の街に雨が降る。", "Shift-JIS"),
        ("gb18030", "侦探走进房间，看了看窗外。", "GB18030"),
        ("cp1251", "Что она видит ?", "Windows-1251"),
        ("koi8-r", "Что она видит ?", "KOI8-R"),
        ("latin-1", "\x89HDF \x1a \x04", "no text at all"),  # bytes of a program's own
        ("latin-1", "Il a été là, près du café où elle dînait.", "Latin-1"),
    ],
)
def test_the_remedy_does_not_spoil_the_text(encoding, text, likely, tmp_path):
    (tmp_path / "a.txt").write_bytes(f"{text}\n".encode(encoding) * 100)
    with pytest.raises(lm.LMTutorError, match=r"is not UTF-8: byte 0x.*\(--encoding\)") as caught:
        lm.load_corpus(tmp_path / "a.txt")
    assert likely in str(caught.value) and ("Latin-1" in str(caught.value)) == (likely == "Latin-1")


def array():
    np.save(kept := io.BytesIO(), np.arange(9))
    return kept.getvalue()


KINDS = {
    "a PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "an image": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "a web page": b"\n<!DOCTYPE html>\n<html><title>x</title>",
    "a rich text file": rb"{\rtf1\ansi The cat}",
    "a Python pickle": pickle.dumps({"a": [1, 2]}),
    "an array of NumPy": array(),
    "a Word document": zipped("[Content_Types].xml", "word/document.xml"),
    "an Excel file": zipped("xl/workbook.xml", "xl/a.xml"),
    "an e-book (Mobipocket)": b"A Study in Scarlet".ljust(60, b"\0") + b"BOOKMOBI",
    "an e-book": zipped("mimetype", "META-INF/container.xml"),
    "one of 2 files": zipped("a.txt", "b.txt"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_text_is_named(kind, tmp_path):
    raw = KINDS[kind]
    for name, content in {"a.txt": raw, "a.gz": gzip.compress(raw)}.items():
        if name == "a.gz" and raw[:2] == b"PK":
            continue  # an archive in an archive is not looked into
        (tmp_path / name).write_bytes(content)
        with pytest.raises(lm.LMTutorError) as caught:
            lm.load_corpus(tmp_path / name)
        assert kind in str(caught.value) and str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(  # with names of their own: a gzip file holds the second in which it was made
    "raw",
    [gzip.compress(b""), zipped(), gzip.compress(gzip.compress(b"a b")), zipped("b.xz", raw=lzma.compress(b"a"))],
    ids=["nothing", "no file", "twice", "an archive in an archive"],
)
def test_archives_without_a_text_in_them(raw, tmp_path):
    (tmp_path / "a.txt").write_bytes(raw)
    with pytest.raises(lm.LMTutorError, match="holds nothing|holds another archive|one of 0 files"):
        read_text(str(tmp_path / "a.txt"))


def test_too_much_text_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "LIMIT", 1 << 20)
    for kind, pack in PACKERS.items():
        (tmp_path / kind).write_bytes(pack(b"a" * (1 << 24)))
        with pytest.raises(lm.LMTutorError, match="holds more than 1 MiB of text"):
            lm.load_corpus(tmp_path / kind)


def test_a_recipe_names_the_encoding(tmp_path):
    (tmp_path / "a.txt").write_bytes(("Что она видит ?\n" * 60).encode("cp1251"))
    changes = [f"corpus.name={tmp_path / 'a.txt'}", "corpus.encoding=cp1251"]
    assert "Что" in lm.read_recipe("wikitext-2/lstm-200").with_changes(changes).load_corpus().vocab


def test_wrong_and_unknown_encodings(tmp_path):
    (tmp_path / "a.txt").write_bytes("夜の街".encode("shift_jis"))
    with pytest.raises(lm.LMTutorError, match="a.txt is not euc-jp .*: name its encoding"):
        lm.load_corpus(tmp_path / "a.txt", encoding="euc-jp")
    for name in ("klingon", "hex", "rot13"):
        with pytest.raises(lm.LMTutorError, match=f"There is no encoding '{name}'"):
            lm.load_corpus(tmp_path / "a.txt", encoding=name)


def test_damaged_archives_are_one_line(tmp_path):
    """Whatever is changed in them: read, or refused."""
    chance = random.Random(7)
    for pack in PACKERS.values():
        whole = pack(TEXT.encode())
        for _ in range(250):
            spoilt = bytearray(whole)
            for _ in range(chance.randrange(1, 4)):
                spoilt[chance.randrange(4, len(spoilt))] = chance.randrange(256)
            (tmp_path / "a").write_bytes(spoilt[: chance.choice([len(spoilt), chance.randrange(8, len(spoilt))])])
            try:
                "".join(blocks([text_span(tmp_path / "a")]))
            except lm.LMTutorError as error:
                assert str(tmp_path / "a") in str(error) and "\n" not in str(error)


# --- tables


ROWS = [{"id": str(i), "text": f'Row {i}, said "she",\nand more .', "more": "x"} for i in range(40)]


def tables(folder):
    with (folder / "a.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ROWS[0])
        writer.writeheader()
        writer.writerows(ROWS)
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS) + "\n")
    (folder / "a.jsonl.gz").write_bytes(gzip.compress((folder / "a.jsonl").read_bytes()))
    flat = [{key: value.replace("\n", " ") for key, value in row.items()} for row in ROWS]
    lines = ["\t".join(ROWS[0])] + ["\t".join(row.values()) for row in flat]
    (folder / "a.tsv").write_bytes(codecs.BOM_UTF8 + "\n".join(lines).encode())


def test_a_csv_may_have_semicolons_as_excel_writes_them(tmp_path):
    (tmp_path / "a.csv").write_text('id;text\r\n1;so, so .\r\n2;"a; b"\r\n')
    assert read_text(f"{tmp_path}/a.csv:text") == "so, so .\na; b\n"


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.jsonl.gz", "a.tsv"])
def test_one_column_of_a_table(name, tmp_path):
    tables(tmp_path)
    texts = [row["text"].replace("\n", " ") if name == "a.tsv" else row["text"] for row in ROWS]
    assert read_text(f"{tmp_path / name}:text") == "".join(f"{text}\n" for text in texts)
    corpus = lm.load_corpus(f"{tmp_path / name}:text", tokenizer="treebank")
    assert "Hint" not in corpus.note
    one, by_pattern = (lm.load_corpus(f"{tmp_path}/{pattern}:text") for pattern in ("a.csv", "[a-b].csv"))
    assert one.train.tolist() == by_pattern.train.tolist()
    with pytest.raises(lm.LMTutorError, match="row 1 has no text 'texts'; it has id, text, more"):
        lm.load_corpus(f"{tmp_path / name}:texts")


@pytest.mark.parametrize(
    "line, says", [("{", "row 2 is damaged"), ('["a"]', "row 2 has no text"), ('{"text": 5}', "row 2 has no text")]
)
def test_a_damaged_row(line, says, tmp_path):
    (tmp_path / "a.jsonl").write_text(f'{{"text": "a"}}\n{line}\n')
    with pytest.raises(lm.LMTutorError, match=says):
        lm.load_corpus(f"{tmp_path}/a.jsonl:text")


def test_a_file_whose_name_has_a_colon(tmp_path):
    (tmp_path / "a.csv:text").write_text(TEXT, encoding="utf-8")
    assert read_text(f"{tmp_path}/a.csv:text") == TEXT
