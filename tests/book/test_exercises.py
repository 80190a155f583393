"""Every chapter ends as one should: exercises with solutions, a list to check oneself, a summary with equations."""

import re

import pytest

LEVELS = ["Easy", "Medium", "Hard"]
EXERCISE = re.compile(r"^(`{3,})\{exercise(?:-start)?\}[^\n]*\n(.*?)^\1\s*$", flags=re.M | re.S)


def exercises(source: str) -> dict[str, str]:
    """Return the text of each exercise by its label, also of those written between two gates."""
    found = {}
    for match in EXERCISE.finditer(source):
        label = re.search(r"^:label:\s*(\S+)", match[2], flags=re.M)[1]
        end = source.find("{exercise-end}", match.start())
        text = source[match.end() : end] if "exercise-start" in match[0] and end != -1 else match[2]
        found[label] = text
    return found


def section(source: str, title: str) -> str:
    """Return what stands below a heading of the second or third level."""
    match = re.search(rf"^##(#?) (?:{title})\b[^\n]*\n(.*?)(?=^##\1? |\Z)", source, flags=re.M | re.S)
    assert match, f"there is no section “{title}”"
    return match[2]


def test_three_to_six_exercises_each_with_a_solution_that_opens(chapter):
    labels = list(exercises(chapter.source))
    assert 3 <= len(labels) <= 6, f"{len(labels)} exercises"
    for label in labels:
        solution = re.search(
            rf"^`{{3,}}\{{solution(-start)?\}} {re.escape(label)}\n:class: .*dropdown", chapter.source, flags=re.M
        )
        assert solution, f"{label} has no solution that opens with a click"


def test_exercises_are_graded(chapter):
    graded = {}
    for label, text in exercises(chapter.source).items():
        level = re.search(r"^\*{0,2}(Easy|Medium|Hard)\b", text.strip(), flags=re.M)
        assert level, f"{label} does not say how hard it is"
        graded[label] = LEVELS.index(level[1])
    assert {0, 2} <= set(graded.values()), "something to begin with, and something to bite on"
    at_the_end = [graded[label] for label in exercises(section(chapter.source, "Exercises"))]
    assert at_the_end == sorted(at_the_end), "the harder, the later"


def test_a_list_to_check_oneself_and_a_summary_with_equations(chapter):
    questions = re.findall(r"^(?:\d+\.|-) ", section(chapter.source, "Check yourself"), flags=re.M)
    assert len(questions) >= 4
    summary = section(chapter.source, "Summary")
    assert "$" in summary, "the chapter's equations"
    assert len(summary.split()) <= 450, "one page"
    section(chapter.source, "Further reading|Where to read more")


@pytest.mark.book
def test_the_solutions_code_ran(chapter):
    """Between the gates of a solution stand executed cells; one that raised would show a traceback."""
    for solution in chapter.article.select(".solution"):
        for cell in solution.select("div.cell"):
            assert "Traceback" not in cell.get_text()
    assert len(chapter.article.select(".solution")) == len(exercises(chapter.source))
