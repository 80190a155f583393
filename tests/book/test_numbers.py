"""Figures in the prose come from a recorded run, from what others published, or from a cell of the same page."""

import re
from functools import cache
from pathlib import Path

import pytest

from lmtutor.runs.recipe import recipe_names
from lmtutor.runs.run import recorded_runs

pytestmark = pytest.mark.book

DATA = Path(__file__).resolve().parents[2] / "data"
NUMBER = re.compile(r"\d+\.\d+(?:e[+-]?\d+)?")
# A perplexity as it stands in a sentence: two digits or more, one or two behind the point, no unit and no version.
CLAIM = re.compile(r"(?<![\w.,/(-])(\d{2,4}\.\d{1,2})(?![\w.]|\s?(?:%|×|MB|MiB|GiB|s\b|seconds|minutes))")


@cache
def known() -> list[float]:
    """Every number with a decimal point in the recorded runs, the model cards and the published figures."""
    files = [path for kind in ("csv", "json", "md", "toml") for path in DATA.rglob(f"*.{kind}")]
    numbers = {number for path in files for number in NUMBER.findall(path.read_text(encoding="utf-8"))}
    numbers |= {repr(run.score(split).perplexity) for run in recorded_runs() for split in ("valid", "test")}
    return [float(number) for number in numbers]


def rounds_to(value: float, claim: str) -> bool:
    places = len(claim.partition(".")[2])
    return abs(value - float(claim)) <= 0.5 * 10**-places * (1 + 1e-6)


def claims(text: str) -> list[tuple[str, str]]:
    """The perplexities that sentences state, each with its sentence."""
    sentences = re.split(r"(?<=[.!?:])\s+(?=[A-Z])", re.sub(r"\s+", " ", text))
    return [(number, sentence) for sentence in sentences for number in CLAIM.findall(sentence)]


def test_every_perplexity_has_a_source(page):
    """Of a run, a publication, or an output of the page. Exercises and their solutions may make numbers up."""
    article = page.article
    outputs = " ".join(output.get_text(" ") for output in article.select("div.cell_output"))
    shown = [float(number) for number in NUMBER.findall(outputs)]
    prose = []
    for block in article.find_all(["p", "li"]):
        inside = block.find_parent(class_=["cell", "exercise", "solution", "math", "admonition", "playground"])
        if not inside and not block.find(["math", "mjx-container"]):
            prose.append(block.get_text(" "))
    for number, sentence in claims(" ".join(prose)):
        found = any(rounds_to(value, number) for value in [*known(), *shown])
        assert found, f"{number} stands in no run, no publication and no output of the page: {sentence!r}"


def test_a_made_up_perplexity_is_found():
    """The test above can fail."""
    text = "The model reaches a perplexity of 123.45 on test. In version 2.13.0 it took 12.5 s and 87.25 MiB."
    assert [number for number, _ in claims(text)] == ["123.45"]
    assert not any(rounds_to(value, "123.4567") for value in known())


def test_a_recipe_has_a_run_or_is_listed_as_not_yet_run(pages):
    results = next(page for page in pages if page.name.endswith("results"))
    waiting = {cell.get_text(strip=True) for cell in results.article.find(id="not-yet-run").find_all("th")}
    done = {run.name for run in recorded_runs()}
    for name in recipe_names():
        assert (name in done) != (name in waiting), name
