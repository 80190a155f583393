"""The command group `lmtutor assignments`."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from lmtutor.system.errors import LMTutorError

app = typer.Typer(help="Build assignments, grade a class.", no_args_is_help=True, rich_markup_mode=None)

Out = Annotated[Path, typer.Option(help="Where release/, solution/ and course/ go.")]
Course = Annotated[Path, typer.Option(help="nbgrader's tree.")]
Name = Annotated[str, typer.Argument(help="An assignment, such as a1.", metavar="NAME")]
Sources = Annotated[Path | None, typer.Option(help="Folder of the sources; default: the book's.")]
Platform = Annotated[str | None, typer.Option("--from", help="Take names as moodle or canvas writes them.")]
Roster = Annotated[Path | None, typer.Option(help="The class: Moodle's grading worksheet or Canvas's gradebook.")]
OUT, COURSE = Path("_build/assignments"), Path("_build/assignments/course")


def _sources(folder: Path | None) -> Path:
    from lmtutor.classroom.sources import SOURCES

    return folder or SOURCES


def _grading():
    from lmtutor.classroom.course import need_nbgrader

    need_nbgrader()
    from lmtutor.classroom import grading

    return grading


@app.command(epilog="Example: lmtutor assignments build --hidden ~/hidden-tests")
def build(
    names: Annotated[list[str] | None, typer.Argument(help="Which; default: all.", metavar="[NAME …]")] = None,
    out: Out = OUT,
    sources: Sources = None,
    hidden: Annotated[Path | None, typer.Option(help="Folder of hidden tests of your own: NAME.py.")] = None,
    course: Annotated[bool, typer.Option("--course/--no-course", help="Also make nbgrader's tree.")] = True,
    requirement: Annotated[str, typer.Option(help="What the first cell installs where it is missing.")] = "lmtutor",
) -> None:
    """Make the student releases, the solutions and nbgrader's course tree."""
    from lmtutor.classroom.course import build as make

    typer.echo(make(out, names or [], _sources(sources), hidden, course, requirement).to_string())
    typer.echo(f"in {out}: release/ (for students), solution/" + (", course/ (nbgrader's)" if course else ""))


@app.command(epilog="Example: lmtutor assignments check a1.ipynb")
def check(
    notebook: Annotated[Path, typer.Argument(help="Your notebook.")],
    seconds: Annotated[float, typer.Option(help="Most seconds that it may run.")] = 300.0,
) -> None:
    """For students: run the visible tests in a fresh process, warn, print a receipt. Exit code 1 if anything is off."""
    from lmtutor.classroom.receipt import check as run

    receipt = run(notebook, seconds)
    typer.echo(str(receipt))
    sys.exit(int(bool(receipt.warnings) or receipt.passed < len(receipt.results)))


@app.command(epilog="Example: lmtutor assignments points a1")
def points(name: Name, sources: Sources = None) -> None:
    """Print the point table of an assignment."""
    from lmtutor.classroom.sources import read_assignment

    assignment = read_assignment(name, _sources(sources))
    typer.echo(f"{assignment.name}. {assignment.title} (about {assignment.minutes} minutes)")
    typer.echo(assignment.points.to_string(index=False) + f"\nall: {assignment.points['points'].sum()}")


@app.command(epilog="Example: lmtutor assignments hidden ~/hidden-tests")
def hidden(
    folder: Annotated[Path, typer.Argument(help="Where to write them; keep it outside the public tree.")],
    sources: Sources = None,
) -> None:
    """Write the worked set of hidden tests, to be changed: one NAME.py per assignment."""
    from lmtutor.classroom.sources import assignment_names, read_assignment, write_hidden

    for name in assignment_names(_sources(sources)):
        write_hidden(read_assignment(name, _sources(sources)), folder / f"{name}.py")
        typer.echo(str(folder / f"{name}.py"))


@app.command(epilog="Example: lmtutor assignments due a1 2027-01-15T18:00+01:00")
def due(
    name: Name, when: Annotated[str, typer.Argument(help="Date and time, ISO 8601.")], course: Course = COURSE
) -> None:
    """Set when an assignment is due; the summary then says who was late."""
    from lmtutor.classroom.course import set_due

    typer.echo(f"{name} is due {set_due(course, name, when)}")


@app.command(epilog="Example: lmtutor assignments grade a1 --collect a1.zip --from moodle --roster worksheet.csv")
def grade(
    name: Name,
    course: Course = COURSE,
    collect: Annotated[
        Path | None, typer.Option(help="First copy submissions from this folder or zip: STUDENT.ipynb or STUDENT/.")
    ] = None,
    platform: Platform = None,
    roster: Roster = None,
    timestamps: Annotated[
        bool, typer.Option(help="Believe timestamp.txt about when it was handed in; students can write one.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="Time limit per cell, in seconds.")] = 120.0,
    megabytes: Annotated[int, typer.Option(help="Most memory, beyond what the libraries take.")] = 2048,
) -> None:
    """Grade every submission; write the summary table and a feedback page per student."""
    grading = _grading()
    from lmtutor.classroom.collect import collect as copy
    from lmtutor.classroom.course import due_of
    from lmtutor.classroom.platforms import read_roster
    from lmtutor.classroom.sandbox import Limits

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends as Ctrl-C does, and leaves no process behind
    if roster is not None and platform is None:
        raise LMTutorError("--roster needs --from: say which platform wrote it, moodle or canvas")
    try:
        if collect is not None:
            people = read_roster(roster, platform) if roster else None
            done = copy(collect, course, name, platform, people, timestamps, due_of(course, name))
            typer.echo("\n".join([f"{done.taken} submissions copied from {collect}", *done.left]))
        table = grading.grade(course, name, Limits(cell_seconds=seconds, megabytes=megabytes), progress=typer.echo)
    except KeyboardInterrupt:
        typer.echo("stopped; no file is half-written, and the same command grades the class again", err=True)
        raise typer.Exit(130) from None
    typer.echo(table.drop(columns="notes").to_string())
    typer.echo(f"summary: {course / f'summary-{name}.csv'}; feedback: {course / 'feedback'}")


@app.command("return", epilog="Example: lmtutor assignments return a1 --to moodle --roster worksheet.csv")
def return_(
    name: Name,
    platform: Annotated[str, typer.Option("--to", help="moodle or canvas.")],
    roster: Annotated[Path, typer.Option(help="Moodle's grading worksheet, or Canvas's exported gradebook.")],
    column: Annotated[str | None, typer.Option(help="Its column for the grades, where that is not plain.")] = None,
    course: Course = COURSE,
) -> None:
    """Write what the platform takes back: its table with the grades, penalties taken off, and a zip of the pages."""
    from lmtutor.classroom.platforms import hand_back, read_roster

    table, pages, left = hand_back(course, name, read_roster(roster, platform), column)
    typer.echo("\n".join([*left, f"grades: {table}; feedback pages: {pages}"]))


@app.command(epilog="Example: lmtutor assignments read a1")
def read(name: Name, course: Course = COURSE) -> None:
    """Write one page per question with all free answers, without names, on which to give points and comments."""
    _grading()
    from lmtutor.classroom.reading import write_pages

    typer.echo("\n".join(f"open in a browser: {page}" for page in write_pages(course, name)))


@app.command(epilog="Example: lmtutor assignments report a1 --points ~/Downloads/a1-q5.csv")
def report(
    name: Name,
    points: Annotated[list[Path] | None, typer.Option(help="First take points and comments from this CSV.")] = None,
    course: Course = COURSE,
) -> None:
    """Write summary and feedback again, with the points and comments that a person gave since."""
    grading = _grading()
    from lmtutor.classroom.reading import take_points

    for path in points or ():
        typer.echo(f"{path}: points for {take_points(course, name, path)} answers")
    typer.echo(grading.report(course, name).drop(columns="notes").to_string())


@app.command(epilog="Example: lmtutor assignments alike a1")
def alike(name: Name, course: Course = COURSE) -> None:
    """List pairs of students whose answers agree more than chance explains. A reason to ask, no proof."""
    from lmtutor.classroom.alike import WHAT
    from lmtutor.classroom.alike import alike as compare

    typer.echo(f"{WHAT}\n\n{compare(course, name).to_string(index=False)}")


@app.command(epilog="Example: lmtutor assignments regrade a1 ann")
def regrade(
    name: Name, student: Annotated[str, typer.Argument(help="As in the summary.")], course: Course = COURSE
) -> None:
    """Grade one submission again with the same random numbers, and compare."""
    typer.echo(_grading().regrade(course, name, student).to_string())


@app.command(epilog="Example: lmtutor assignments doctor")
def doctor(
    road: Annotated[str | None, typer.Option(help="bubblewrap, namespaces or user; default: the best.")] = None,
) -> None:
    """Say which promises about student code this machine keeps; each is tried. Exit code 1 where one is not."""
    from lmtutor.classroom.doctor import examine

    used, table = examine(road)
    typer.echo(f"by {used}:\n{table.to_string(index=False, justify='left')}")
    sys.exit(int((table["kept"] == "NO").any()))
