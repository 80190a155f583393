"""A build says what it is at, and keeps how long it took."""

import re
import time
from types import SimpleNamespace

import nbformat.v4 as v4
import pytest
from nbclient import NotebookClient
from progress import Progress, report_cells, spell


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (200, "3 min 20 s")])
def test_times_in_words(seconds, words):
    assert spell(seconds) == words


def test_a_line_names_page_cell_and_time(tmp_path):
    progress = Progress(tmp_path / "seconds")
    progress.count(None, None, ["intro", "book/chapters/01-language-models"])
    progress.read(None, "book/chapters/01-language-models", [""])
    progress.cell("", 3, 40)
    assert progress.line() == "page 2 of 2, 01-language-models, cell 3 of 40, 0 s"
    progress.rest("")
    progress.cell("03-lstm", 7, 41)
    progress.cell("04-wikitext-2", 1, 30)
    assert progress.line() == "03-lstm, cell 7 of 41; 04-wikitext-2, cell 1 of 30, 0 s"


def test_cells_report_themselves(monkeypatch):
    async def ran(client, cell, cell_index):
        return cell.source

    monkeypatch.setattr(NotebookClient, "async_execute_cell", ran)
    seen = []
    progress = SimpleNamespace(cell=lambda *said: seen.append(said), rest=seen.append)
    report_cells(progress)
    cells = [v4.new_code_cell("1"), v4.new_markdown_cell("text"), v4.new_code_cell("2")]
    client = SimpleNamespace(nb=v4.new_notebook(cells=cells, metadata={"page": "03-lstm"}))
    for index, cell in enumerate(cells):
        try:
            NotebookClient.async_execute_cell(client, cell, index).send(None)
        except StopIteration as done:
            assert done.value == cell.source
    assert seen == [("03-lstm", 1, 2), "03-lstm", "03-lstm", ("03-lstm", 2, 2), "03-lstm"]


def test_the_next_build_knows_how_long_this_one_took(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("progress.EVERY", 0.02)
    first = Progress(tmp_path / "seconds")
    first.begin(None)
    time.sleep(0.2)
    first.end(None, None)
    assert "first build" in (said := capsys.readouterr().out) and re.search(r"^  starting, 0 s$", said, flags=re.M)
    assert not first.kept.exists(), "nothing ran: another build would take longer"
    first.ran = True
    first.end(None, None)
    second = Progress(tmp_path / "seconds")
    second.begin(None)
    second.end(None, None)
    assert "The last build that ran the chapters took 0 s." in capsys.readouterr().out
