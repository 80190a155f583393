"""The chapters are of one form: short cells in sight, plots in the package, pictures between the words."""

import ast
import builtins
import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "book" / "chapters").glob("*.md"))
PAGES = [*CHAPTERS, *(ROOT / "book").glob("*.md"), *(ROOT / "book" / "appendix").glob("*.md")]
HIDDEN = {"hide-input", "hide-cell", "remove-cell", "remove-input"}
CELL = re.compile(r"^(`{3,})\{code-cell\}[^\n]*\n(.*?)^\1\s*$", flags=re.M | re.S)
HEX = re.compile(r"#[0-9a-fA-F]{6}\b|#[0-9a-fA-F]{3}\b(?=[\"'])")
# A cell shows a table or a figure when it ends in an expression, but not in a word or a number.
SILENT = re.compile(
    r"^(\s|print\(|assert |for |if |del |import |from )|^[\w, \[\]\"']+ = |backward\(\)$|^agree\(|\bnote$"
)
LONGEST_CELL, LONGEST_LINE, MOST_HIDDEN, MOST_WORDS = 30, 120, 0.15, 700


def cells(source: str) -> list[tuple[set[str], list[str]]]:
    """Return the tags and the lines of code of each cell."""
    found = []
    for _, body in CELL.findall(source):
        options, code = "", body
        if body.startswith("---\n"):
            _, options, code = re.split(r"^---\n", body, maxsplit=2, flags=re.M)
        else:
            head = re.match(r"(?::[\w-]+:.*\n)*", body)[0]
            options, code = re.sub(r"^:", "", head, flags=re.M), body[len(head) :]
        tags = set((yaml.safe_load(options) or {}).get("tags", []))
        found.append((tags, [line for line in code.splitlines() if line.strip()]))
    return found


def stretches(source: str) -> list[int]:
    """Return the words between pictures and tables: what a cell shows, a table of Markdown, and a formula's neighbours.

    Exercises and what follows them are left out: nobody reads them in one go.
    """
    text = source.split("## Exercises")[0]
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.S)
    mark = "\0"

    def seen(match: re.Match) -> str:
        ((tags, code),) = cells(match[0])
        shows = "figure:" in match[0] or "display(" in match[0] or (code and not SILENT.search(code[-1]))
        return mark if shows and "remove-cell" not in tags else " "

    text = CELL.sub(seen, text)
    text = re.sub(r"(?:^\|.*\n)+", mark, text, flags=re.M)
    text = re.sub(r"^\$\$.*?^\$\$[^\n]*$|\$[^$\n]*\$", " x ", text, flags=re.M | re.S)
    return [len(re.findall(r"[\w’'-]+", part)) for part in text.split(mark)]


@pytest.mark.parametrize("file", CHAPTERS, ids=lambda path: path.stem)
def test_cells_are_short_lines_fit_and_colours_have_names(file):
    for _, code in cells(file.read_text(encoding="utf-8")):
        assert len(code) <= LONGEST_CELL, f"{len(code)} lines: {code[0]}"
        assert not HEX.search("\n".join(code)), "take a colour of lmtutor.display.figures"
    for n, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        assert len(line) <= LONGEST_LINE, f"line {n} has {len(line)} characters"


@pytest.mark.parametrize("file", PAGES, ids=lambda path: path.stem)
def test_no_line_of_a_sentence_reads_as_a_list(file):
    """Markdown makes a list of a line that begins with a number and a full stop: “as in chapter / 01. Then”."""
    lines = CELL.sub("", file.read_text(encoding="utf-8")).splitlines()
    for before, line in pairwise(lines):
        in_a_sentence = before and not re.match(r" |:|`|\d+[.)] ", before)
        assert not (in_a_sentence and re.match(r"\d+[.)] ", line)), f"{before}\n{line}"


def names_in_sight(source: str) -> tuple[set[str], set[str]]:
    """The names that the cells in sight read, and those that they make: the imports and assignments of all of them."""
    read, made = set(), set(dir(builtins)) | {"display"}
    for tags, code in cells(source):
        if "remove-cell" in tags:
            continue
        for node in ast.walk(ast.parse("\n".join(code))):
            if isinstance(node, ast.Name):
                (read if isinstance(node.ctx, ast.Load) else made).add(node.id)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                made.add(node.name)
            elif isinstance(node, ast.alias):
                made.add((node.asname or node.name).split(".")[0])
            elif isinstance(node, ast.arg):
                made.add(node.arg)
    return read, made


@pytest.mark.parametrize("file", CHAPTERS, ids=lambda path: path.stem)
def test_every_name_comes_from_a_cell_in_sight(file):
    source = file.read_text(encoding="utf-8")
    read, made = names_in_sight(source)
    in_words = {name for name in read - made if f"`{name}` is" in source}  # the page says in prose what it is
    assert not read - made - in_words


def test_little_code_is_hidden():
    """Code that a reader need not see belongs into the package; the assertions beside the text are not counted."""
    hidden = shown = 0
    for file in CHAPTERS:
        for tags, code in cells(file.read_text(encoding="utf-8")):
            if "remove-cell" not in tags:
                hidden, shown = (hidden + len(code), shown) if tags & HIDDEN else (hidden, shown + len(code))
    assert hidden / (hidden + shown) <= MOST_HIDDEN, f"{hidden} of {hidden + shown} lines are hidden"


@pytest.mark.parametrize("file", CHAPTERS, ids=lambda path: path.stem)
def test_no_long_stretch_without_a_picture_or_a_table(file):
    assert max(stretches(file.read_text(encoding="utf-8"))) <= MOST_WORDS
