"""Build what a course needs: releases, solutions, and the tree in which nbgrader keeps its gradebook."""

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from lmtutor.classroom.sources import (
    CODE_STUB,
    SOURCES,
    TEXT_STUB,
    Assignment,
    assignment_names,
    read_assignment,
    release,
    solution,
)
from lmtutor.system.errors import LMTutorError

CONFIG = f"""# Written by `lmtutor assignments build`, each time; your own settings go into own_config.py, beside it.
c = get_config()
c.CourseDirectory.course_id = "lmtutor"
c.ClearSolutions.code_stub = {{"python": {CODE_STUB!r}}}
c.ClearSolutions.text_stub = {TEXT_STUB!r}
c.Autograde.sanitize_preprocessors = ["lmtutor.classroom.grading.UseOurCommand"]
c.GenerateFeedback.preprocessors = [
    "nbgrader.preprocessors.GetGrades",
    "nbgrader.preprocessors.ClearHiddenTests",
    "nbgrader.preprocessors.ClearOutput",  # student code that runs beside hidden tests could print them
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]
c.LatePenalty.percent_a_day = 0  # of an assignment's points, for each day begun after it was due
load_subconfig("own_config.py")
"""


def need_nbgrader() -> None:
    """Raise `LMTutorError` where nbgrader is not installed."""
    from importlib.util import find_spec

    if find_spec("nbgrader") is None:
        raise LMTutorError('The course tree needs nbgrader: pip install "lmtutor[classroom]".')


def nbgrader_api(course: Path):
    """Return nbgrader's API for a course, with the course's own configuration."""
    need_nbgrader()
    import logging
    import warnings

    from nbgrader.apps.api import NbGraderAPI
    from traitlets.config import PyFileConfigLoader

    scripts = str(Path(sys.executable).parent)
    if scripts not in os.environ["PATH"].split(os.pathsep):  # nbgrader calls `alembic`; it may not be on the path
        os.environ["PATH"] = scripts + os.pathsep + os.environ["PATH"]
    if not (course / "nbgrader_config.py").is_file():
        raise LMTutorError(f"{course} is not a course; make one with: lmtutor assignments build --out FOLDER")
    config = PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config()
    config.CourseDirectory.root = str(course.resolve())
    warnings.filterwarnings("ignore", message="Object of type .* not in session")  # nbgrader's, of its own gradebook
    config.Application.log_level = logging.ERROR
    api = NbGraderAPI(config=config)
    api.coursedir.log.setLevel(logging.ERROR)
    api.log.setLevel(logging.ERROR)
    return api


def build(
    out: Path,
    names: Sequence[str] = (),
    sources: Path = SOURCES,
    hidden: Path | None = None,
    course: bool = True,
    requirement: str = "lmtutor",
) -> pd.DataFrame:
    """Make, under `out`: release/NAME.ipynb, solution/NAME.ipynb and course/, nbgrader's tree.

    Parameters
    ----------
    names : which assignments; default: all of `sources`.
    hidden : an instructor's folder of hidden tests, `NAME.py`; where one is missing, the worked set is used.
    course : False leaves out nbgrader's tree, and needs no nbgrader.
    requirement : what a notebook's first cell installs where the package is missing.
    """
    import nbformat

    if hidden is not None and not Path(hidden).is_dir():
        raise LMTutorError(f"{hidden} is not a hidden-tests folder: make one with: lmtutor assignments hidden FOLDER")
    chosen = [read_assignment(name, sources, hidden, requirement) for name in (names or assignment_names(sources))]
    if not chosen:
        raise LMTutorError(f"There are no assignments in {sources}; name their folder with --sources.")
    for kind, make in (("release", release), ("solution", solution)):
        (out / kind).mkdir(parents=True, exist_ok=True)
        (out / "solution").chmod(0o700) if kind == "solution" else None
        for assignment in chosen:
            nbformat.write(make(assignment), out / kind / f"{assignment.name}.ipynb")
    if course:
        _build_course(out, chosen)
    rows = [(a.name, a.title, a.minutes, len(a.points), int(a.points["points"].sum())) for a in chosen]
    return pd.DataFrame(rows, columns=["assignment", "title", "minutes", "questions", "points"]).set_index("assignment")


def _build_course(out: Path, chosen: Sequence[Assignment]) -> None:
    import nbformat

    need_nbgrader()
    tree = out / "course"
    tree.mkdir(parents=True, exist_ok=True)
    tree.chmod(0o700)  # the gradebook and the hidden tests are the teacher's alone
    (tree / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    api = nbgrader_api(tree)
    for assignment in chosen:
        name = assignment.name
        folder = tree / "source" / name
        folder.mkdir(parents=True, exist_ok=True)
        nbformat.write(assignment.notebook, folder / f"{name}.ipynb")
        _generate(api, name)
        (out / "release" / f"{name}.ipynb").write_bytes((tree / "release" / name / f"{name}.ipynb").read_bytes())


def _generate(api: Any, name: str) -> None:
    result = api.generate_assignment(name, force=True, create=True)
    if not result["success"]:
        reason = (result.get("log") or result.get("error") or "no reason given").strip().splitlines()[-1]
        raise LMTutorError(f"nbgrader could not generate {name}: {reason}")


def check_released(course: Path, name: str) -> None:
    """Raise `LMTutorError` where a course has no such assignment."""
    if not (course / "release" / name).is_dir():
        raise LMTutorError(f"{name!r} is not in the course {course}; build it with: lmtutor assignments build")


def set_due(course: Path, name: str, due: str) -> str:
    """Set when an assignment is due: an ISO date and time; without a time zone it is local time."""
    try:
        when = datetime.fromisoformat(due).astimezone(UTC)
    except ValueError:
        raise LMTutorError(f"{due!r} is not a date: write it as 2027-01-15T18:00+01:00.") from None
    check_released(course, name)
    with nbgrader_api(course).gradebook as gradebook:
        gradebook.update_or_create_assignment(name, duedate=when.replace(tzinfo=None))
    return f"{when:%Y-%m-%d %H:%M} UTC"


def due_of(course: Path, name: str) -> datetime | None:
    """When an assignment is due, in UTC; None where nothing was set."""
    with nbgrader_api(course).gradebook as gradebook:
        return next((one.duedate for one in gradebook.assignments if one.name == name), None)
