"""Hostile notebooks, names, times and folders at random: whatever is handed in, the class is graded.

`LMTUTOR_HOSTILE=1000` tries a thousand; the number in the suite is small. Students reach only for what is planted here.
"""

import json
import os
import random

import pytest

from lmtutor.classroom import confine
from lmtutor.classroom.collect import collect
from lmtutor.classroom.sandbox import Limits

pytest.importorskip("nbgrader")
from lmtutor.classroom import grading  # noqa: E402
from lmtutor.classroom.course import build, set_due  # noqa: E402

pytestmark = [
    pytest.mark.classroom,
    pytest.mark.slow,
    pytest.mark.skipif(not confine.roads(), reason="this machine cannot confine a process"),
]
MANY = int(os.environ.get("LMTUTOR_HOSTILE", "24"))
LIMITS = Limits(cell_seconds=4, notebook_seconds=25, megabytes=300, file_megabytes=2, disk_megabytes=5)
SOURCE = """---
kernelspec: {display_name: Python 3, language: python, name: python3}
assignment: {title: One question, minutes: 60}
---

```{code-cell} ipython3
---
nbgrader: {schema_version: 3, grade_id: h1-q1, solution: true, grade: false, locked: false, task: false}
---
### BEGIN SOLUTION
def double(x):
    return 2 * x
### END SOLUTION
```

```{code-cell} ipython3
---
nbgrader: {schema_version: 3, grade_id: h1-q1-test, solution: false, grade: true, locked: true, task: false, points: 4}
---
assert double(2) == 4, "Twice 2 is 4."
### BEGIN HIDDEN TESTS
assert double(21) == 42, "Twice 21 is 42."
### END HIDDEN TESTS
```

Say why.

+++ {"nbgrader": {"schema_version": 3, "grade_id": "h1-q2", "solution": true, "grade": true, "locked": false, \
"task": false, "points": 4}}

### BEGIN SOLUTION
Because.
### END SOLUTION
"""
ODD = [
    None,
    0,
    -1,
    1e308,
    "",
    "\ud800",
    "\x00",
    "a" * 70,
    [],
    {},
    [[]],
    {"a": {}},
    True,
    "<b onclick=alert(1)>",
    ["x", 3],
]
NAMES = [
    "=1+1",
    "@x",
    "-rf",
    "ann b",
    "\u0301",
    "李小龙",
    "x" * 190,
    "..x",
    "a\nb",
    "\x1b[2K",
    "CON",
    "%s",
    "a'b\"c",
    "ß",
]
TIMES = ["", "0001-01-01", "9999-12-31T23:59-12:00", "2027-01-15 99:00", "\x1b[2K", "2027-01-15 17:00:00 UTC", "²"]
CODES = [
    "def double(x):\n    return 2 * x",
    "def double(x):\n    return 4",
    "def double(x:",
    "while True: pass",
    "import os; os._exit(0)",
    "import os; os.kill(os.getpid(), 9)",
    "import os; os.closerange(3, 99)",
    "import ctypes; ctypes.string_at(0)",
    "raise ValueError('\\ud800')",
    "class E(Exception):\n    def __str__(self): raise self\nraise E",
    "class E(Exception):\n    def __str__(self): return 3\nraise E",
    "x = bytearray(10**10)",
    "open('x', 'wb').write(b'0' * 10**8)",
    "print('x' * 10**6)",
    "import sys; sys.setrecursionlimit(10**6)\nf = lambda: f()\nf()",
    "import threading\n[threading.Thread(target=lambda: open('/dev/zero').read()).start() for _ in range(50)]",
    "import signal\nfor n in (1, 2, 3, 6, 10, 14, 15): signal.signal(n, signal.SIG_IGN)",
    "get_ipython().run_cell = None",
    "import builtins; builtins.AssertionError = KeyError; builtins.print = None",
    "import json; json.dumps = lambda *a, **k: '{}'",
    "%%bash\nrm -rf /",
    "from pathlib import Path\nprint(Path(PLANTED).read_text())",
    "import sys; sys.stdout = sys.stderr = sys.modules = None",
    "raise BaseException('a\\r20 of 20')",
]


def hostile(rng: random.Random, notebook: dict, planted: str) -> bytes:
    """A notebook of an enemy's, at random."""
    notebook = json.loads(json.dumps(notebook))
    cells = notebook["cells"]
    for _ in range(rng.randint(1, 3)):
        cell = rng.choice(cells)
        match rng.randrange(8):
            case 0 | 1 | 2:
                answer = next((c for c in cells if c.get("id") == "h1-1"), cell)
                answer["source"] = rng.choice(CODES).replace("PLANTED", repr(planted))
            case 3:
                cell[rng.choice(["source", "metadata", "id", "cell_type", "outputs"])] = rng.choice(ODD)
            case 4:
                cells.insert(rng.randrange(len(cells)), {"cell_type": "code", "source": rng.choice(CODES)})
            case 5:
                cells.insert(
                    rng.randrange(len(cells)), rng.choice([*ODD, cell, {"cell_type": "raw", "source": "<script>"}])
                )
            case 6:
                notebook[rng.choice(["cells", "metadata", "nbformat"])] = rng.choice(ODD)
                break
            case 7:
                rng.shuffle(cells)
        if not all(isinstance(cell, dict) for cell in cells):
            break
    content = json.dumps(notebook).encode()
    match rng.randrange(12):
        case 0:
            return content[: rng.randrange(len(content))]
        case 1:
            return bytes(rng.randrange(256) for _ in range(300))
        case 2:
            return b"\xef\xbb\xbf" + content
        case 3:
            return b"[" * rng.choice([10, 100_000, 600_000])
    return content


def hand_in(rng: random.Random, place, content: bytes) -> None:
    """Put it where the class hands in: as a file, in a folder, as a link, a pipe, a folder of its name."""
    match rng.randrange(10):
        case 0:
            place.with_name(f"{place.name}.ipynb").write_bytes(content)
            return
        case 1:
            place.symlink_to(rng.choice(["/", "/dev/zero", "nowhere"]))
            return
    place.mkdir()
    where = place / rng.choice(["h1.ipynb"] * 6 + ["H1 (2).ipynb", "other.ipynb", "...ipynb", "x.zip"])
    match rng.randrange(12):
        case 0:
            where.mkdir()
        case 1:
            os.mkfifo(where)
        case 2:
            where.symlink_to(rng.choice(["/dev/zero", "/", str(place), "nowhere"]))
        case _:
            where.write_bytes(content)
    (place / "timestamp.txt").write_text(rng.choice(TIMES))
    if rng.random() < 0.2:
        (place / "up").symlink_to("/")


def test_the_class_is_always_graded(tmp_path):
    import nbformat

    rng, sources, box = random.Random(MANY), tmp_path / "sources", tmp_path / "handed-in"
    sources.mkdir()
    box.mkdir()
    (sources / "h1.md").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "planted.txt").write_text("a planted secret")
    build(tmp_path, ["h1"], sources)
    course = tmp_path / "course"
    set_due(course, "h1", "2027-01-15T12:00+00:00")
    solved = nbformat.read(tmp_path / "solution" / "h1.ipynb", as_version=4)
    for number in range(MANY):
        name = f"{rng.choice(NAMES)}{number}" if rng.random() < 0.3 else f"s{number}"
        hand_in(rng, box / name, hostile(rng, solved, str(tmp_path / "planted.txt")))
    for number in range(3):
        (box / f"honest{number}.ipynb").write_text(nbformat.writes(solved), encoding="utf-8")
    (course / "submitted").mkdir(exist_ok=True)
    for name in ("a\udcffb", "=2"):  # what a person may have put there
        (course / "submitted" / name / "h1").mkdir(parents=True, exist_ok=True)
    done = collect(box, course, "h1", timestamps=True)
    said = []
    road = "namespaces" if "namespaces" in confine.roads() else None
    table = grading.grade(course, "h1", LIMITS, road, said.append)
    honest = [f"honest{number}" for number in range(3)]
    assert (table.loc[honest, "score"] == 4).all() and (table.loc[honest, "status"] == "graded").all()
    assert len(table) == len(list((course / "submitted").glob("*/h1"))) >= 3 + done.taken
    failed = table[table["status"].str.startswith("the grader failed")]
    assert failed["status"].str.contains("the folder's name is not a student's").all(), failed["status"].tolist()
    assert (table["score"] <= 4).all() and (table["score"] >= 0).all()
    assert all(line.isprintable() for line in said), "no line of the report is forged"
    pages = "".join(page.read_text(encoding="utf-8") for page in (course / "feedback").rglob("*.html"))
    assert "a planted secret" not in pages and "<script" not in pages and "<b onclick" not in pages
    assert (tmp_path / "planted.txt").read_text() == "a planted secret"
