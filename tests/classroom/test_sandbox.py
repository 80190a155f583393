"""What student code may not do, it cannot do; and the cells after it still run."""

import concurrent.futures
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from lmtutor.classroom import confine, worker
from lmtutor.classroom.sandbox import Cell, Limits, Sandbox
from lmtutor.system.errors import LMTutorError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="confinement uses Linux namespaces"),
]
LIMITS = Limits(cell_seconds=12, notebook_seconds=300, megabytes=700, file_megabytes=5, disk_megabytes=20)


ROADS = confine.roads()
HIDDEN_FROM = dict.fromkeys(ROADS, ("FileNotFoundError",))
HIDDEN_FROM["user"] = ("PermissionError",) if confine.landlock() else (None, "PermissionError")


@pytest.fixture(scope="module", params=ROADS)
def each(request):
    """A sandbox of each road that this machine has."""
    with Sandbox(LIMITS, request.param) as box:
        yield box


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    (folder / "gradebook.db").write_text("the scores")
    return folder


@pytest.fixture(scope="module")
def box(course):
    try:
        box = Sandbox(LIMITS, "namespaces" if "namespaces" in ROADS else None)
    except LMTutorError as error:
        pytest.skip(str(error))
    with box:
        yield box


def run(box, *codes, **options):
    return box.run([Cell(code) for code in codes], **options)


def test_cells_share_names_and_show_output(box):
    first, second, third = run(box, "x = 20", "print(x + 1)", "y")
    assert (first.output, second.output) == ("", "21\n")
    assert (third.error, third.message) == ("NameError", "name 'y' is not defined")


def test_runs_as_an_unprivileged_user_in_a_folder_of_its_own(box, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "link.txt").symlink_to("/etc/passwd")
    code = (
        "import os; print(os.getuid(), open('notes.txt').read(), os.path.exists('link.txt'))\n"
        "open('notes.txt', 'w').write('changed')"
    )
    (outcome,) = run(box, code, files=tmp_path)
    user, text, link = outcome.output.split()[:3]
    assert int(user) != 0 and text == "mine" and link == "False"
    assert (tmp_path / "notes.txt").read_text() == "mine", "it works on a copy"


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import os; os._exit(0)",
        "import time\ntry:\n    time.sleep(60)\nexcept BaseException:\n    time.sleep(60)",
        "import os; os.closerange(3, 60)",
    ],
    ids=["loop", "exit", "catches everything", "closes its connection"],
)
def test_cell_that_ends_or_holds_the_process_is_left_out(box, code):
    before, bad, after = run(box, "x = 1", code, "print(x)")
    assert bad.stopped and not before.error and after.output == "1\n"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("b = bytearray(2 * 2**30)", "MemoryError"),
        ("import os; os.fork()", "PermissionError"),
        ("import subprocess; subprocess.run(['true'])", "PermissionError"),
        ("open('big', 'wb').write(b'0' * 10**7)", "OSError"),
        ("import os; os.setuid(0)", "PermissionError" if os.getuid() == 0 else "OSError"),  # there is no 0 to become
        ("import sys; sys.exit()", "SystemExit"),
    ],
    ids=["memory", "fork", "program", "file size", "root", "sys.exit"],
)
def test_limits_raise_in_the_student_s_cell(box, code, error):
    bad, after = run(box, code, "print('still here')")
    assert bad.error == error and after.output == "still here\n"


def test_what_a_test_defines_outlives_its_end(box):
    """Its answer is wrong for ever; the tests of others that call the same function are run all the same."""
    test = "import math\ndef half(x):\n    return x / 2\nwhile True: pass"
    one, two = box.run([Cell(test, test=True), Cell("assert half(math.pi) < 2", test=True)])
    assert one.error == "TimeLimit" and two.error is None


def test_definitions_that_end_the_process_are_left_out_in_the_end(box):
    one, two = box.run([Cell("import os\ndef f(x=os._exit(0)):\n    pass", test=True), Cell("print('on')")])
    assert one.error == "ProcessEnded" and two.output == "on\n"


def test_gradebook_cannot_be_read_or_written(box, course):
    path = str(course / "gradebook.db")
    read, write = run(box, f"print(open({path!r}).read())", f"open({path!r}, 'w').write('full marks')")
    assert read.error in ("PermissionError", "FileNotFoundError") and write.error
    assert (course / "gradebook.db").read_text() == "the scores"


def test_nothing_outside_its_folder_can_be_written(box, tmp_path_factory):
    if box.isolation != "namespaces":
        pytest.skip("without namespaces, folders that are open to everybody stay open")
    open_to_all = tmp_path_factory.mktemp("open")
    open_to_all.chmod(0o777)
    (outcome,) = run(box, f"open({str(open_to_all / 'x')!r}, 'w')")
    assert outcome.error in ("OSError", "PermissionError", "FileNotFoundError")
    assert not list(open_to_all.iterdir())


def test_no_network_in_namespaces(box):
    if box.isolation != "namespaces":
        pytest.skip("this machine has no namespaces; the grader says so")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (outcome,) = run(box, f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)")
    assert outcome.error == "PermissionError"


def test_disk_is_small(box):
    if box.isolation != "namespaces":
        pytest.skip("the small disk needs namespaces")
    (outcome,) = run(box, "for n in range(20): open(str(n), 'wb').write(b'0' * 4 * 2**20)")
    assert outcome.error == "OSError" and "No space" in outcome.message


def test_output_is_kept_short_and_a_test_s_is_not_shown(box):
    (flood,) = run(box, "for n in range(8_000): print('spam')")
    assert len(flood.output) == 20_000
    (quiet,) = box.run([Cell("print('secret')\nassert False, 'what to do'", test=True)])
    assert (quiet.output, quiet.error, quiet.message, quiet.where) == ("", "AssertionError", "what to do", None)


def test_answer_forged_ahead_is_not_believed(box):
    forged = (
        "import json, os\nfor n in range(3, 60):\n"
        "    try: os.write(n, json.dumps({'ticket': 'x', 'output': '', 'error': None}).encode() + b'\\n')\n"
        "    except OSError: pass"
    )
    bad, after = run(box, forged, "1 / 0")
    assert bad.stopped and after.error == "ZeroDivisionError"


def test_time_of_the_notebook_is_limited(box):
    limits = Limits(cell_seconds=2, notebook_seconds=4, megabytes=700)
    box.limits, kept = limits, box.limits
    try:
        start = time.monotonic()
        outcomes = run(box, *["while True: pass"] * 5)
    finally:
        box.limits = kept
    assert outcomes[-1].error == "NotRun" and time.monotonic() - start < 60


def test_without_any_confinement_grading_is_refused():
    with pytest.raises(LMTutorError, match="cannot keep student code away"):
        Sandbox(isolation="none")


def test_as_another_user_where_namespaces_are_missing(course):
    """What a container without the right to namespaces gets: a user of its own, and the gradebook closed to it."""
    if os.getuid() != 0 or any(confine.closed_to_others(path) for path in confine.libraries()):
        pytest.skip("needs root, and libraries that others can read")
    course.chmod(0o700)
    with Sandbox(limits=LIMITS, isolation="user") as box:
        assert ("can READ" in box.notice) == (not confine.landlock())
        who, read, loop, after = run(
            box,
            "import os; print(os.getuid())",
            f"open({str(course / 'gradebook.db')!r})",
            "while True: pass",
            "print(1)",
        )
    assert int(who.output) >= confine.FIRST_USER and read.error == "PermissionError"
    assert loop.stopped and after.output == "1\n"


def test_as_another_user_it_moves_its_own_files_and_empties_no_other():
    if "user" not in ROADS or confine.landlock() < 3:
        pytest.skip("needs the road `user`, and Landlock as of Linux 6.2")
    move = "os.mkdir('a'); os.mkdir('b'); open('a/x', 'w').close(); os.rename('a/x', 'b/x'); print(os.listdir('b'))"
    with tempfile.NamedTemporaryFile() as outside, Sandbox(LIMITS, "user") as box:
        Path(outside.name).write_text("kept")
        Path(outside.name).chmod(0o666)
        emptied, moved = run(box, f"import os; os.truncate({outside.name!r}, 0)", move)
        assert emptied.error == "PermissionError" and Path(outside.name).read_text() == "kept"
    assert moved.output == "['x']\n"


def test_confinement_that_fails_is_not_told_as_the_student_s_fault(tmp_path, monkeypatch):
    def refuse(folder):
        raise OSError("no rules")

    monkeypatch.setattr(confine, "landlock", lambda: 1)
    monkeypatch.setattr(confine, "open_only", refuse)
    monkeypatch.setattr(confine, "own", lambda *_: None)  # for which the tests may lack the right
    user = os.getuid() or confine.FIRST_USER
    job = asdict(LIMITS) | {"folder": str(tmp_path), "user": user, "isolation": "user", "environment": {}}
    (ours, control), (_, connection) = socket.socketpair(), socket.socketpair()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            worker.supervise(connection, control, job)
        os._exit(0)
    control.close()
    os.waitpid(child, 0)
    assert json.loads(ours.makefile().readline()) == {"failed": "no rules"}


def test_large_file_that_is_only_read_is_none_of_the_student_s(tmp_path):
    (tmp_path / "library").write_bytes(bytes(2**20))
    (tmp_path / "work").mkdir()
    with (tmp_path / "library").open():
        assert confine.holds(tmp_path / "work", os.getpid(), 1_000, 2**20)[1] == 0


REFUSED = {
    "a socket of the network": "import socket; socket.socket()",
    "a socket file": "import socket; socket.socket(socket.AF_UNIX)",
    "a socket to the host": "import socket; socket.socket(40, socket.SOCK_STREAM)",
    "memory as a file": "import os; os.memfd_create('x')",
    "a namespace": "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True)\n"
    "if libc.unshare(0x10000000): raise OSError(ctypes.get_errno(), 'unshare')",
    "a mount": "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True)\n"
    "if libc.mount(b'x', b'.', b'tmpfs', 0, None): raise OSError(ctypes.get_errno(), 'mount')",
}


@pytest.mark.parametrize("what", REFUSED)
def test_kernel_refuses_calls_that_no_answer_needs(box, what):
    bad, after = run(box, REFUSED[what], "print(1)")
    assert bad.error == "PermissionError" and after.output == "1\n"


def test_sees_libraries_and_its_own_folder_alone(box, course, tmp_path):
    if box.isolation != "namespaces":
        pytest.skip("a root of its own needs namespaces")
    (course / "open.txt").write_text("for every user to read")
    course.chmod(0o755)
    (course / "open.txt").chmod(0o644)
    (tmp_path / "mine.txt").write_text("x")
    code = (
        "import os\nfound = []\nfor top, folders, names in os.walk('/'):\n"
        "    folders[:] = [n for n in folders if n not in ('lib', 'proc', 'site-packages')]\n"
        "    found += [os.path.join(top, n) for n in names]\n"
        "print([f for f in found if f.endswith(('open.txt', 'gradebook.db', 'mine.txt'))])\n"
        "print(sorted(os.listdir(os.path.dirname(os.getcwd()))), os.path.exists(REPO + '/.git'),"
        " os.path.exists(REPO + '/book'), len(os.listdir('/proc')) > 5)\n"
        "print([n for n in os.listdir('/proc') if n.isdigit()])\n"
        "import lmtutor as lm; print(len(lm.load_corpus('baker-street').vocab) > 10)"
    )
    from lmtutor.system.files import PACKAGE

    (outcome,) = run(box, f"REPO = {str(PACKAGE.parent)!r}\n{code}", files=tmp_path)
    seen, around, processes, works = outcome.output.splitlines()
    assert seen.count("txt") == 1 and "mine.txt" in seen and "gradebook" not in seen
    assert "False False True" in around and processes == "['1']" and works == "True"


@pytest.mark.parametrize("road", ROADS)
def test_what_else_is_on_the_teacher_s_path_is_not_shown(road, tmp_path, monkeypatch):
    """A notebook's folder, a course, a test's conftest put folders there; below it may lie anything."""
    (tmp_path / "secret_answers.py").write_text("ANSWER = 42")
    (tmp_path / "secret_answers.py").chmod(0o644)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    codes = (
        "import secret_answers",
        f"open({str(tmp_path / 'secret_answers.py')!r}).read()",
        "import sys; print(sys.path)",
    )
    with Sandbox(LIMITS, road) as box:
        imported, opened, told = run(box, *codes)
    assert imported.error == "ModuleNotFoundError" and str(tmp_path) not in told.output
    assert opened.error in HIDDEN_FROM[road]


def test_number_of_files_is_limited(box):
    if box.isolation != "namespaces":
        pytest.skip("the small disk needs namespaces")
    (outcome,) = run(box, "for n in range(20_000): open(str(n), 'w').close()")
    assert outcome.error == "OSError" and "No space" in outcome.message


FAILS = """import math, numpy as np, torch
assert math.isclose(1, 2) or np.allclose(1, 2) or torch.equal(torch.ones(1), torch.zeros(1)), 'the answer is wrong'"""
TRICKS = {
    "another run_cell": "class Fine: error_before_exec = error_in_exec = None\n"
    "get_ipython().run_cell = lambda *a, **k: Fine()",
    "assertions dropped": "import ast\nclass Drop(ast.NodeTransformer):\n"
    "    def visit_Assert(self, node): return ast.Pass()\nget_ipython().ast_transformers.append(Drop())",
    "everything is close": "import math; math.isclose = lambda *a, **k: True",
    "every array is close": "import numpy as np; np.allclose = np.isclose = lambda *a, **k: np.True_",
    "every tensor is equal": "import torch; torch.equal = lambda *a: True",
}


def test_forged_forms_and_control_characters_do_not_come_through(box):
    code = "class X(Exception): pass\nX.__name__ = 'a\\nb<b>'\nraise X('20 of 20\\r\\n\\x1b[2K graded \\ud800')"
    (outcome,) = run(box, code)
    assert outcome.error == "Error" and outcome.message == "20 of 20\\r\\n\\x1b[2K graded \\ud800"


def test_names_of_errors_and_functions_carry_nothing_out(box):
    """A student can give a class or a function any name while it runs, such as a line of a hidden test."""
    (outcome,) = run(
        box,
        "word = 'hid' + 'den'\nexec(compile(f'def {word}(): raise ValueError\\n{word}()', "
        "'/tmp/ipython-input-1', 'exec'))",
    )
    assert outcome.error == "ValueError" and "hidden" not in (outcome.where or "")
    (outcome,) = run(box, "word = 'hid' + 'den'\nraise type(word, (Exception,), {})")
    assert outcome.error == "Error"
    (outcome,) = run(box, "def half(x):\n    return x / 0\nhalf(1)")
    assert (outcome.error, outcome.where) == ("ZeroDivisionError", "in half, line 2 of its cell")


def test_same_seed_same_draws(box):
    code = "import random, numpy, torch; print(random.random(), numpy.random.rand(), torch.rand(1).item(), set('abc'))"
    one, two, other = (box.run([Cell(code, seed=seed)])[0].output for seed in (5, 5, 6))
    assert one == two != other


def test_links_pipes_and_devices_are_not_copied(box, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "up").symlink_to("/")
    (tmp_path / "fine.txt").write_text("x")
    (outcome,) = run(box, "import os; print(os.listdir('.'))", files=tmp_path)
    assert "fine.txt" in outcome.output and "zero" not in outcome.output and "up" not in outcome.output


def test_doctor_names_the_roads_where_another_is_asked_for():
    from lmtutor.classroom.doctor import examine

    with pytest.raises(LMTutorError, match=f"Unknown road of this machine 'moon'.* Known: {', '.join(sorted(ROADS))}"):
        examine("moon")


@pytest.mark.parametrize("road", ROADS)
def test_doctor_tries_every_promise_on_each_road(road):
    from lmtutor.classroom.doctor import PROMISES, examine

    used, table = examine(road)
    kept = table.set_index("promise")["kept"]
    assert used == road
    assert len(kept) == len(PROMISES)
    broken = set(kept[kept == "NO"].index)
    if road == "user":
        allowed = set() if confine.landlock() else {"student code cannot read files that every user may read"}
        allowed |= set() if confine.landlock() >= 3 else {"student code cannot write outside its folder"}
        assert broken == allowed, "what the page on teaching says of it, and no more"
    else:
        assert not broken


def test_each_road_gives_files_outlives_its_cells_and_sees_no_more(each, course, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "up").symlink_to("/")
    codes = (
        "import os, random; print(os.getuid(), open('mine.txt').read(), sorted(os.listdir('.')), random.random())",
        "os._exit(0)",
        f"open({str(course / 'gradebook.db')!r})",
        "import lmtutor as lm\n"
        "print(len(lm.load_corpus('baker-street').vocab), os.path.exists(lm.__path__[0] + '/../book'))",
        "while True: pass",
        "print(lm.check('a1-q1', lambda x: 0))",
    )
    first, gone, read, works, loop, after = run(each, *codes, files=tmp_path)
    again = run(each, codes[0], files=tmp_path)[0]
    assert first.output.split()[1:] == again.output.split()[1:], "the same numbers each time"
    assert first.output.split()[0] != "0" and "mine" in first.output and "up" not in first.output
    assert gone.stopped and loop.error == "TimeLimit" and read.error in ("FileNotFoundError", "PermissionError")
    assert works.output.startswith("1409 ") and (each.isolation == "user" or works.output == "1409 False\n")
    assert after.output.startswith("It is below 1")


ATTACKS = {
    "twenty processes, each within the limit": "import os\nfor n in range(20):\n"
    "    if os.fork() == 0:\n        kept = bytearray(500 * 2**20)\n        while True: pass",
    "a hundred thousand files": "for n in range(100_000): open(str(n), 'w').close()",
    "a hundred thousand folders": "import os\nfor n in range(100_000): os.mkdir(str(n))",
    "files below more folders than a path can name": "import os\nfor n in range(3_000):\n"
    "    os.mkdir('x')\n    os.chdir('x')\nfor n in range(100_000): open(str(n), 'w').close()",
    "one file of five gigabytes": "with open('x', 'wb') as file:\n    for n in range(5_000): file.write(bytes(2**20))",
    "five gigabytes in small files": "for n in range(1_250): open(str(n), 'wb').write(bytes(4 * 2**20))",
    "files that no folder names": "import os, time\nkept = []\nfor n in range(110):\n"
    "    kept.append(open('x', 'wb'))\n    os.remove('x')\n    kept[-1].write(bytes(4 * 2**20))\ntime.sleep(10)",
}


def most_that_is_held(folder, over):
    """The most files and bytes below a folder until `over` is set, counted by `find`, for which no path is too long."""
    most = (0, 0)
    while not over.wait(0.1):
        blocks = subprocess.run(["find", folder, "-printf", "%b\n"], capture_output=True).stdout.split()
        most = max(most[0], len(blocks)), max(most[1], 512 * sum(map(int, blocks)))
    return most


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_on_disk_and_memory_is_ended_before_it_is_felt(each, attack, monkeypatch):
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor() as pool:
        Path(folder).chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        over = threading.Event()
        most = pool.submit(most_that_is_held, Path(folder), over)
        try:
            bad, after = run(each, ATTACKS[attack], "print('on')")
        finally:
            over.set()
    files, size = most.result()
    assert bad.error in ("OSError", "PermissionError", "BlockingIOError", "ProcessEnded") and after.output == "on\n"
    assert files < 50_000 and size < 1.5e9, "the watcher of `user` comes soon; the others' disk is their own"


@pytest.mark.parametrize("trick", TRICKS)
def test_canary_works_on_each_road(each, trick):
    *_, test = each.run([Cell(TRICKS[trick]), Cell(FAILS, test=True)])
    assert test.error == "NotTrusted"
