"""Whatever is handed in, one plain notebook comes out or one line. Runs without nbgrader."""

import copy
import json
import random
import re
import urllib.parse
from html.parser import HTMLParser

import nbformat
import pytest

from lmtutor.classroom.intake import Refused, harmless, plain_notebook, read_time, safe_name
from lmtutor.classroom.rebuild import rebuild
from lmtutor.classroom.sources import TEXT_STUB, read_assignment, release

FINE = {"cells": [{"cell_type": "code", "source": "x = 1", "metadata": {}}], "nbformat": 4, "nbformat_minor": 5}
NAMES = {
    "ann": "ann",
    "Bob Brown_1234": "Bob_Brown_1234",
    "O'Brien, Siân": "O_Brien_Siân",
    "Jose\u0301": "José",
    "李小龙": "李小龙",
    "हिन्दी नाम": "हिन्दी_नाम",
    "=cmd|' /C calc'!A0": "cmd_C_calc_A0",
    "-rf": "rf",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_become_safe_ones_and_stay_so(name):
    assert safe_name(name) == safe_name(safe_name(name)) == NAMES[name]


@pytest.mark.parametrize("name", ["..", "...", "___", " ", "x" * 201, "李" * 70, "\ud800", "../..", "\u0301"])
def test_names_that_are_none_are_refused(name):
    with pytest.raises(Refused):
        safe_name(name)


HTML = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<svg/onload=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](java\\script\\:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "<javascript:alert(1)>",
    "[x](<java\tscript:alert(1)>)",
    "[x](<javasc\tript:alert(1)>)",
    "[x][y]\n\n[y]: <javasc\tript:alert(1)>",
    "[x][y]\n\n[y]: javascript:alert(1)",
    "![x](data:text/html;base64,PHNjcmlwdD4=)",
    "`a` <details open ontoggle=alert(1)>",
    "$$</span><img src=x onerror=alert(1)>$$",
    "    <b>code</b>\n\n<iframe srcdoc='<script>1</script>'>",
]


@pytest.mark.parametrize("text", HTML)
def test_markdown_makes_no_html_that_acts(text):
    filters = pytest.importorskip("nbconvert.filters")
    seen = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            seen.append((tag, dict(attributes)))

    Reader().feed(filters.markdown2html(harmless(text)))
    for tag, attributes in seen:
        assert tag in ("p", "a", "code", "pre", "img", "div"), tag
        assert not any(name.startswith("on") for name in attributes)
        target = (attributes.get("href") or attributes.get("src") or "").lower()
        read = re.sub(r"[\t\n\r]", "", urllib.parse.unquote(target)).strip()  # as a browser does
        assert not read.startswith(("javascript:", "data:")), target


def test_tex_commands_that_make_links_and_attributes_are_broken():
    for command in ("href", "style", "cssId", "class", "require", "mmlToken"):
        assert f"\\{command}" not in harmless(f"$\\{command}{{mi}}[href='javasc\nript:alert(1)']{{x}}$")


def test_plain_text_stays_as_it_is():
    text = "If a < b and c & d: *street* follows **baker**, see [here](https://example.org). $p(x \\mid u) < 1$"
    assert harmless(text) == text


def test_only_what_is_graded_is_kept():
    cell = FINE["cells"][0] | {
        "outputs": [{"x": [[]] * 1000}],
        "metadata": {"tags": ["<b>"], "nbgrader": {"grade_id": "a"}},
    }
    kept = nbformat.reads(
        plain_notebook(json.dumps(FINE | {"cells": [cell], "metadata": {"a": 1}}).encode()), as_version=4
    )
    nbformat.validate(kept)
    assert (
        kept.metadata == {}
        and kept.cells[0].outputs == []
        and kept.cells[0].metadata == {"nbgrader": {"grade_id": "a"}}
    )


def test_byte_order_mark_and_printed_megabytes_are_no_hindrance():
    printed = FINE["cells"][0] | {"outputs": [{"output_type": "stream", "name": "stdout", "text": "x" * 11_000_000}]}
    content = json.dumps(FINE | {"cells": [printed]}).encode()
    assert json.loads(plain_notebook(b"\xef\xbb\xbf" + content))["cells"][0]["source"] == "x = 1"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[" * 100_000,
        b"[" * 600_000,
        b'{"cells": 3}',
        b"[]",
        b"\xff",
        b'{"cells": [{"cell_type": "code", "source": 3}]}',
        json.dumps(FINE | {"cells": FINE["cells"] * 2_001}).encode(),
    ],
)
def test_what_is_not_a_notebook_is_refused(content):
    with pytest.raises(Refused):
        plain_notebook(content)


def test_random_hostile_notebooks_are_read_or_refused():
    rng = random.Random(1)
    odd = [None, 0, -1, 1e308, "", "\ud800", "a" * 70, [], {}, [[]], {"a": {}}, True, "<b>", "\x00", ["x", 3]]
    read = 0
    for _ in range(1000):
        cell = {
            "cell_type": rng.choice(["code", "markdown", "raw", "code", "x"]),
            "source": rng.choice(odd),
            "id": rng.choice(odd),
        }
        cell["metadata"] = {"nbgrader": {"grade_id": rng.choice(odd)}} if rng.random() < 0.6 else rng.choice(odd)
        whole = FINE | {"cells": [cell] * rng.randint(1, 3) if rng.random() < 0.9 else rng.choice(odd)}
        text = json.dumps(whole)
        if rng.random() < 0.2:
            text = text[: rng.randrange(len(text))]
        try:
            notebook = nbformat.reads(plain_notebook(text.encode()), as_version=4)
        except Refused:
            continue
        nbformat.validate(notebook)
        nbformat.writes(notebook).encode()
        read += 1
    assert read > 100


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31T23:59-12:00", "", "\x1b[2K", "now", "2027-01-15 99:00"])
def test_senseless_times_are_none(tmp_path, text):
    (tmp_path / "timestamp.txt").write_text(text)
    assert read_time(tmp_path / "timestamp.txt") is None


OWN = "*Not* a stub.\n\nSecond thoughts."
LAYOUTS = {  # what stands where the answer stood, and whether the marks of all cells are lost
    "a text above": ([("markdown", "Notes."), ("markdown", OWN)], True, f"Notes.\n\n{OWN}"),
    "a cell of code above": ([("code", "1 + 1"), ("markdown", OWN)], True, OWN),
    "line ends of Windows": ([("markdown", OWN.replace("\n", "\r\n"))], True, OWN.replace("\n", "\r\n")),
    "a raw cell": ([("raw", OWN)], True, OWN),
    "two cells": ([("markdown", OWN), ("markdown", "More.")], True, f"{OWN}\n\nMore."),
    "below the stub": ([("stub", TEXT_STUB), ("markdown", OWN)], False, OWN),
    "above the emptied stub": ([("markdown", OWN), ("stub", "")], False, OWN),
    "nothing": ([], True, TEXT_STUB),
    "where it belongs": ([("stub", OWN), ("markdown", "A remark.")], False, OWN),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["a1", "a6"])
def test_a_free_answer_is_found_wherever_it_was_written(name, layout):
    """Unless the cell that is marked for it holds one; who helped is another cell, and stays one."""
    written, lost, expected = LAYOUTS[layout]
    released = release(read_assignment(name)).cells
    (place,) = [n for n, cell in enumerate(released) if cell.source == TEXT_STUB]
    own = [nbformat.NotebookNode(cell_type=kind, source=source, metadata={}) for kind, source in written]
    for cell in own:
        if cell.cell_type == "stub":
            cell.cell_type, cell.metadata = "markdown", copy.deepcopy(released[place].metadata)
    theirs = [*copy.deepcopy(released[:place]), *own, *copy.deepcopy(released[place + 1 :])]
    theirs[-1].source = theirs[-1].source.replace(TEXT_STUB, "Bob did.")
    for cell in theirs if lost else []:
        cell.metadata = nbformat.NotebookNode()
        cell.pop("id", None)
    cells, told = rebuild(theirs, copy.deepcopy(released), name)
    answer = released[place].metadata.nbgrader.grade_id
    assert [c.source for c in cells if c.metadata.get("nbgrader", {}).get("grade_id") == answer] == [expected]
    assert told == ([answer] if expected != TEXT_STUB and layout != "where it belongs" else [])
    assert [cell.source.endswith("Bob did.") for cell in cells].count(True) == 1
