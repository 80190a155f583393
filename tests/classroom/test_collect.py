"""Submissions as folders, zips and platforms hold them: the right notebook of each student, and a row for everybody.

The platforms' forms are those of their sources: Moodle's `mod/assign` (export of submissions, feedback/offline,
feedback/file/importziplib.php), Canvas's `lib/content_zipper.rb`, `lib/gradebook_importer.rb` and
`Assignment#infer_comment_context_from_filename`.
"""

import csv
import io
import json
import os
import re
import zipfile
from datetime import UTC, datetime

import pandas as pd
import pytest

from lmtutor.classroom.collect import collect
from lmtutor.classroom.intake import Refused, read_time, take
from lmtutor.classroom.platforms import hand_back, read_roster
from lmtutor.system.errors import LMTutorError

FINE = {"cells": [{"cell_type": "code", "source": "x = 1", "metadata": {}}], "nbformat": 4, "nbformat_minor": 5}


def notebook(source: str = "x = 1") -> bytes:
    return json.dumps(FINE | {"cells": [FINE["cells"][0] | {"source": source}]}).encode()


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name, content in files.items():
            packed.writestr(zipfile.ZipInfo(name, (2027, 1, 15, 12, 0, 0)), content)
    return out.getvalue()


def taken(course, name="a1") -> dict[str, str]:
    """What was taken of whom: the source of its first cell."""
    return {
        p.parent.parent.name: json.loads(p.read_bytes())["cells"][0]["source"] for p in course.rglob(f"{name}.ipynb")
    }


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
    assert "ann: a1-Copy1.ipynb not taken" in left and "ann: notes.txt not taken" in left
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


MOODLE = """\
Identifier,"Full name","ID number","Email address",Status,Grade,"Maximum Grade","Grade can be changed",\
"Last modified (submission)","Last modified (grade)","Feedback comments"
"Participant 301","Siân O'Brien",,s@x.org,"Submitted for grading",-,20.00,Yes,"Friday, 15 January 2027, 5:30 PM",-,
"Participant 302","李 小龙",,l@x.org,"Submitted for grading - late",-,20.00,Yes,"Friday, 15 January 2027, 8:00 PM",-,
"Participant 303","José  van der Berg, Jr.",,j@x.org,"No submission",-,20.00,Yes,-,-,"=old comment"
"Participant 304","अनु शर्मा",,a@x.org,"Submitted for grading",-,20.00,Yes,"Freitag, 15. Januar 2027, 17:30",-,
"""
CANVAS = """\
Student,ID,SIS User ID,SIS Login ID,Section,a1 (9001),a10 (9002),Current Score
    Points Possible,,,,,20.00,20.00,(read only)
"O'Brien, Siân",77,s77,sian,L1,,3,15
"李, 小龙",78,s78,li,L1,,,
"van der Berg, José",79,s79,jose,L1,,,
"Student, Test",80,,,L1,,,
"""


@pytest.fixture
def moodle(tmp_path):
    (tmp_path / "worksheet.csv").write_bytes(b"\xef\xbb\xbf" + MOODLE.encode())
    return read_roster(tmp_path / "worksheet.csv", "moodle")


@pytest.fixture
def canvas(tmp_path):
    (tmp_path / "gradebook.csv").write_text(CANVAS, encoding="utf-8")
    return read_roster(tmp_path / "gradebook.csv", "canvas")


@pytest.mark.parametrize("folders", [True, False], ids=["folders", "flat"])
def test_moodle_s_download(tmp_path, moodle, folders):
    between = "/" if folders else "_"
    files = {
        f"Siân O'Brien_301_assignsubmission_file{between}a1.ipynb": notebook("sian"),
        f"Siân O'Brien_301_assignsubmission_file{between}notes.txt": b"",
        "Siân O'Brien_301_assignsubmission_onlinetext"
        + ("/onlinetext.html" if folders else "_onlinetext.html"): b"<p>",
        f"李 小龙_302_assignsubmission_file{between}my work.zip": zipped({"work/a1 (1).ipynb": notebook("li")}),
        f"अनु शर्मा_304_assignsubmission_file{between}homework.ipynb": notebook("anu"),
        f"Gone Away_399_assignsubmission_file{between}a1.ipynb": notebook("gone"),
        "__MACOSX/._a1.ipynb": b"",
    }
    (tmp_path / "all.zip").write_bytes(zipped(files))
    done = collect(tmp_path / "all.zip", tmp_path / "course", "a1", "moodle", moodle)
    expected = {"Siân_O_Brien_301": "sian", "李_小龙_302": "li", "अनु_शर्मा_304": "anu", "Gone_Away_399": "gone"}
    assert taken(tmp_path / "course") == expected and done.taken == 4
    left = "\n".join(done.left)
    assert "José_van_der_Berg_Jr._303: nothing handed in" in left and "notes.txt not taken" in left
    assert "Gone Away_399" in left and "not in worksheet.csv; taken all the same" in left
    rows = {path.name for path in (tmp_path / "course/submitted").iterdir()}
    assert rows == {*expected, "José_van_der_Berg_Jr._303"}
    stamp = read_time(tmp_path / "course/submitted/Siân_O_Brien_301/a1/timestamp.txt")
    assert stamp.replace(tzinfo=UTC) == datetime(2027, 1, 15, 17, 30).astimezone()
    assert not (tmp_path / "course/submitted/अनु_शर्मा_304/a1/timestamp.txt").exists(), (
        "no time is better than a wrong one"
    )


def test_canvas_s_download(tmp_path, canvas):
    files = {
        "obriensian_77_501_a1.ipynb": notebook("first"),
        "obriensian_LATE_77_502_a1-1.ipynb": notebook("second"),
        "obriensian_77_500_a1-2.ipynb": notebook("older than both"),
        "li_78_600_78_601_a1.ipynb": notebook("a number more in its name"),
        "elsewhere_90_700_a1.ipynb": notebook("other section"),
    }
    (tmp_path / "all.zip").write_bytes(zipped({f"submissions/{name}": content for name, content in files.items()}))
    due = datetime(2027, 1, 15, 17)
    done = collect(tmp_path / "all.zip", tmp_path / "course", "a1", "canvas", canvas, due=due)
    expected = {"O_Brien_Siân_77": "second", "李_小龙_78": "a number more in its name", "elsewhere_90": "other section"}
    assert taken(tmp_path / "course") == expected
    place = tmp_path / "course/submitted/O_Brien_Siân_77/a1"
    assert (place / "came-as.txt").read_text() == "obriensian_LATE_77_502_"
    assert read_time(place / "timestamp.txt") == datetime(2027, 1, 15, 17, 0, 1)
    assert "O_Brien_Siân_77: late; Canvas does not say by how much" in done.left
    assert "van_der_Berg_José_79: nothing handed in" in done.left
    assert "Student_Test" not in str(sorted((tmp_path / "course/submitted").iterdir()))


def graded(course, students: dict[str, float]) -> None:
    rows = [{"student": s, "status": "graded", "score": n, "points": 20.0, "notes": ""} for s, n in students.items()]
    course.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_csv(course / "summary-a1.csv", index=False)
    for student in students:
        (course / f"feedback/{student}/a1").mkdir(parents=True)
        (course / f"feedback/{student}/a1/a1.html").write_text(f"page of {student}", encoding="utf-8")


def moodle_finds(name: str, participants: set[str]) -> str | None:
    """Whose feedback file this is, by the rule of Moodle's importer."""
    info = name.split("/")[0].split("_", 4)
    fine = (
        len(info) >= 4 and info[1].isdigit() and info[1] in participants and info[2:4] == ["assignsubmission", "file"]
    )
    return info[1] if fine else None


def test_moodle_takes_grades_and_pages_back(tmp_path, moodle):
    students = {"Siân_O_Brien_301": 16.5, "李_小龙_302": 0.0, "José_van_der_Berg_Jr._303": 0.0}
    graded(tmp_path / "course", students)
    table, pages, left = hand_back(tmp_path / "course", "a1", moodle)
    before, after = (list(csv.reader(io.StringIO(text))) for text in (MOODLE, table.read_text(encoding="utf-8")))
    assert [row[5] for row in after] == ["Grade", "16.5", "0", "0", "-"], "who has no grade keeps what stood there"
    assert [row[:5] + row[6:] for row in after] == [row[:5] + row[6:] for row in before]
    assert left == ["अनु_शर्मा_304: no grade"]
    with zipfile.ZipFile(pages) as packed:
        found = {moodle_finds(name, set(moodle.people)): packed.read(name).decode() for name in packed.namelist()}
    assert found == {s.rpartition("_")[2]: f"page of {s}" for s in students}


def test_canvas_takes_grades_and_pages_back(tmp_path, canvas):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/obriensian_LATE_77_502_a1-1.ipynb").write_bytes(notebook())
    collect(tmp_path / "in", tmp_path / "course", "a1", "canvas", canvas)
    graded(tmp_path / "course", {"O_Brien_Siân_77": 14.25, "李_小龙_78": 0.0})
    table, pages, left = hand_back(tmp_path / "course", "a1", canvas)
    rows = list(csv.reader(io.StringIO(table.read_text(encoding="utf-8"))))
    assert rows[0][:6] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "a1 (9001)"]
    assert [row[5] for row in rows[1:]] == ["20.00", "14.25", "0", "", ""] and rows[2][6] == "3"
    with zipfile.ZipFile(pages) as packed:
        (name,) = packed.namelist()
    assert re.findall(r"(?<=_)\d+(?=_)", name)[:2] == ["77", "502"] and name.endswith(".html")
    assert "李_小龙_78: no page, as nothing was handed in" in left and "van_der_Berg_José_79: no grade" in left


def test_other_maximum_or_unknown_column_is_refused(tmp_path):
    graded(tmp_path / "course", {"Siân_O_Brien_301": 16.5, "O_Brien_Siân_77": 3.0})
    (tmp_path / "m.csv").write_text(MOODLE.replace("20.00", "100.00"), encoding="utf-8")
    with pytest.raises(LMTutorError, match="gives the assignment 100.00 points, and it has 20"):
        hand_back(tmp_path / "course", "a1", read_roster(tmp_path / "m.csv", "moodle"))
    (tmp_path / "c.csv").write_text(CANVAS.replace("a1 (9001)", "Homework (9001)"), encoding="utf-8")
    with pytest.raises(LMTutorError, match="name the column of a1 with --column"):
        hand_back(tmp_path / "course", "a1", read_roster(tmp_path / "c.csv", "canvas"))
    assert hand_back(tmp_path / "course", "a1", read_roster(tmp_path / "c.csv", "canvas"), "Homework (9001)")


def test_semicolons_of_other_countries(tmp_path):
    (tmp_path / "c.csv").write_text(re.sub(r'"(.*?), (.*?)"', r"\1 \2", CANVAS).replace(",", ";"), encoding="utf-8")
    assert set(read_roster(tmp_path / "c.csv", "canvas").people) == {"77", "78", "79", "80"}


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "Student,Name\nx,y\n"])
@pytest.mark.parametrize("platform", ["moodle", "canvas"])
def test_what_is_no_roster_is_refused(tmp_path, platform, text):
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(LMTutorError, match="Moodle's|Canvas's"):
        read_roster(tmp_path / "r.csv", platform)
    with pytest.raises(LMTutorError, match="Unknown platform"):
        read_roster(tmp_path / "r.csv", "ilias")


def test_hostile_zips_cost_their_own_student_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("lmtutor.classroom.collect.STUDENT_MEGABYTES", 2)
    bomb = zipped({"a1.ipynb": notebook(), "zeros": b"0" * 3 * 2**20})
    files = {
        "ann.zip": zipped({"../../out/a1.ipynb": notebook("ann")}),
        "bob.zip": b"PK\x03\x04 broken",
        "cleo.zip": bomb,
        "dan.zip": zipped({"inner.zip": zipped({"a1.ipynb": notebook("too deep")})}),
        "eve.zip": zipped({"a1.ipynb": notebook("eve"), "x" * 300: b""}),
    }
    (tmp_path / "all.zip").write_bytes(zipped(files))
    done = collect(tmp_path / "all.zip", tmp_path / "course", "a1")
    assert taken(tmp_path / "course") == {"ann": "ann", "eve": "eve"} and done.taken == 2
    assert {p.name for p in (tmp_path / "course/submitted").iterdir()} == {"ann", "bob", "cleo", "dan", "eve"}
    assert "cleo: more than 20,000 files or 2 MB, unpacked" in done.left
    assert not list(tmp_path.rglob("out")), "nothing is written outside"
    with pytest.raises(LMTutorError, match="not a zip"):
        (tmp_path / "no.zip").write_bytes(b"no")
        collect(tmp_path / "no.zip", tmp_path / "course", "a1")
