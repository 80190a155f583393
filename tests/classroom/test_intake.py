"""Whatever is handed in, one plain notebook comes out or one line. Runs without nbgrader."""

import json
import os
import random
from html.parser import HTMLParser

import nbformat
import pytest

from lmtutor.classroom.intake import Refused, collect, harmless, plain_notebook, read_time, student_id, take

FINE = {"cells": [{"cell_type": "code", "source": "x = 1", "metadata": {}}], "nbformat": 4, "nbformat_minor": 5}
NAMES = {
    "ann": "ann",
    "Bob Brown_1234_assignsubmission_file_": "Bob_Brown_1234",
    "brownbob_LATE_77_8899_a1": "brownbob_77",
    "O'Brien, Siân": "O_Brien_Siân",
    "Jose\u0301": "José",
    "李小龙": "李小龙",
    "=cmd|' /C calc'!A0": "cmd_C_calc_A0",
    "-rf": "rf",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_platforms_become_safe_ones(name):
    assert student_id(name) == NAMES[name]


@pytest.mark.parametrize("name", ["..", "...", "___", " ", "x" * 200, "\ud800", "../.."])
def test_names_that_are_none_are_refused(name):
    with pytest.raises(Refused):
        student_id(name)


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
        assert not target.lstrip().startswith(("javascript:", "data:")), target


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


def hand_in(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(json.dumps(FINE))


def test_the_notebook_with_the_right_name_is_taken_and_the_rest_is_named(tmp_path):
    box, course = tmp_path / "in", tmp_path / "course"
    hand_in(box / "ann", "a1-Copy1.ipynb", "a1.ipynb", "notes.txt")
    hand_in(box / "bob", "a1-Copy1.ipynb", "a1-Copy2.ipynb")
    hand_in(box / "Cleo Kent_12_assignsubmission_file_/work", "a1.ipynb")
    hand_in(box, "dora_5_6_a1.ipynb", "readme.md")
    (box / "eve.zip").write_bytes(b"PK")
    done = collect(box, course, "a1")
    taken = {path.parent.parent.name for path in course.rglob("a1.ipynb")}
    assert taken == {"ann", "Cleo_Kent_12", "dora_5"} and done.taken == 3
    left = "\n".join(done.left)
    assert "ann/a1-Copy1.ipynb: not taken" in left and "ann/notes.txt: not taken" in left
    assert "bob: no single a1.ipynb among: a1-Copy1.ipynb, a1-Copy2.ipynb" in left and "readme.md" in left
    rows = {path.name for path in (course / "submitted").iterdir()}
    assert rows == taken | {"bob", "eve"}, "who handed in nothing that can be taken still gets a row"


def test_links_pipes_and_folders_are_not_taken(tmp_path):
    box, course = tmp_path / "in", tmp_path / "course"
    hand_in(tmp_path / "other", "a1.ipynb")
    for student in ("ann", "bob", "cleo"):
        (box / student).mkdir(parents=True)
    (box / "ann/a1.ipynb").symlink_to(tmp_path / "other/a1.ipynb")
    os.mkfifo(box / "bob/a1.ipynb")
    (box / "cleo/a1.ipynb").mkdir()
    (box / "dan").symlink_to(tmp_path / "other")
    (box / "zero.ipynb").symlink_to("/dev/zero")
    (box / "...ipynb").write_text(json.dumps(FINE))
    hand_in(box / "zoe", "a1.ipynb")
    assert collect(box, course, "a1").taken == 1
    assert [p.parent.parent.name for p in course.rglob("*.ipynb")] == ["zoe"]
    with pytest.raises(Refused, match="a link, a folder or a device"):
        take(box / "ann/a1.ipynb")


def test_two_with_one_name_are_named(tmp_path):
    hand_in(tmp_path / "in/Ann B", "a1.ipynb")
    hand_in(tmp_path / "in/Ann_B", "a1.ipynb")
    done = collect(tmp_path / "in", tmp_path / "course", "a1")
    assert done.taken == 1 and "Ann_B has handed in Ann B, too" in done.left[0]


def test_a_student_s_own_time_counts_only_where_the_teacher_says_so(tmp_path):
    hand_in(tmp_path / "in/ann", "a1.ipynb")
    (tmp_path / "in/ann/timestamp.txt").write_text("2020-01-01 00:00:00 UTC")
    os.utime(tmp_path / "in/ann/a1.ipynb", (1.8e9, 1.8e9))
    stamp = tmp_path / "course/submitted/ann/a1/timestamp.txt"
    for believed, year in ((False, 2027), (True, 2020)):
        collect(tmp_path / "in", tmp_path / "course", "a1", timestamps=believed)
        assert read_time(stamp).year == year


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31T23:59-12:00", "", "\x1b[2K", "now", "2027-01-15 99:00"])
def test_senseless_times_are_none(tmp_path, text):
    (tmp_path / "timestamp.txt").write_text(text)
    assert read_time(tmp_path / "timestamp.txt") is None
