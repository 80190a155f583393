"""One reader for files, standard input and strings: what it makes of a text does not depend on where it came from."""

import io
import sys

import pytest

import lmtutor as lm
from lmtutor.text.sources import read_text

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
