"""The pages are the same with and without the corpora: cells that need an absent one show what was recorded.

`.ci/run` builds the book without corpora first and keeps it in `_build/html-without-corpora`.
"""

import difflib
import re

import pytest
from bs4 import BeautifulSoup

from tests.helpers import ROOT

WITHOUT = ROOT / "_build" / "html-without-corpora"
MARK = "recorded"  # the class of what says that an output is a recorded one
CLOCK = re.compile(r"The cells ran in .*? when this page was built\.")


def text(html: str) -> list[str]:
    """The words of a page's article line by line, without marks and without what only the clock decides."""
    article = BeautifulSoup(html, "html.parser").find("article")
    for mark in article.find_all(class_=MARK):
        mark.decompose()
    for facts in article.select("p.page-facts"):
        facts.string = CLOCK.sub("", facts.get_text())
    return [line for line in (line.strip() for line in article.get_text("\n").splitlines()) if line]


@pytest.mark.book
def test_a_page_is_the_same_without_the_corpora(page, site):
    if not WITHOUT.is_dir() or site != ROOT / "_build" / "html":
        pytest.skip("one build only: .ci/run makes both where the corpora are")
    pages = [(folder / f"{page.name}.html").read_text(encoding="utf-8") for folder in (WITHOUT, site)]
    without, with_ = map(text, pages)
    assert not list(difflib.unified_diff(without, with_, "without corpora", "with", n=0, lineterm=""))


def test_marks_and_clocks_do_not_count_and_all_else_does():
    pages = [
        f'<article><p class="page-facts">To read. The cells ran in {seconds} seconds when this page was built.'
        f"</p>{mark}<p>The loss is {loss}.</p></article>"
        for seconds, mark, loss in (
            (9, "", 5),
            (70, f'<p class="{MARK}">Recorded on another machine.</p>', 5),
            (9, "", 6),
        )
    ]
    assert text(pages[0]) == text(pages[1]) != text(pages[2])
