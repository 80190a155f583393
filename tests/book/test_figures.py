"""Figures say what they show: an alternative text that is one, and a caption that says what to see."""

import re

import pytest
from bs4 import BeautifulSoup

FILE = re.compile(r"\.(png|svg|jpe?g|gif)$")


def faults(article) -> list[str]:
    """Return one line for each figure without an alternative text, or with one that says nothing."""
    found, seen = [], {}
    for image in article.find_all("img"):
        alt = (image.get("alt") or "").strip()
        where = (image.get("src") or "")[:40]
        if len(alt) < 15 or " " not in alt:
            found.append(f"{where} has no alternative text: {alt!r}")
        elif FILE.search(alt):
            found.append(f"{alt!r} is a file name")
        elif seen.setdefault(alt, image.get("src")) != image.get("src"):
            found.append(f"two figures say the same: {alt[:60]!r}")
    return found


def without_caption(article) -> list[str]:
    """Return the beginning of the alternative text of each figure that has no caption, its own or its control's."""
    bare = []
    for image in article.find_all("img"):
        own = image.find_parents("figure")  # its own, or that of the cell that numbers it
        control = image.find_parent(class_="lm-explorer")
        if not any(figure.find("figcaption") for figure in own) and not (control and control.select_one(".lm-caption")):
            bare.append((image.get("alt") or "")[:60])
    return bare


@pytest.mark.book
def test_every_figure_says_what_it_shows(page):
    assert not faults(page.article)


@pytest.mark.book
def test_every_figure_of_a_chapter_has_a_caption(chapter):
    assert not without_caption(chapter.article)


@pytest.mark.book
def test_every_figure_of_a_chapter_is_drawn_in_vectors(chapter):
    for image in chapter.article.find_all("img"):
        assert image["src"].startswith("data:image/svg+xml") or image["src"].endswith(".svg"), image["src"][:60]


@pytest.mark.parametrize(
    ("html", "complaint"),
    [
        ('<img src="a.svg">', "no alternative text"),
        ('<img src="a.svg" alt="">', "no alternative text"),
        ('<img src="a.svg" alt="figure1-of-the-chapter.svg">', "no alternative text"),
        ('<img src="a.svg" alt="the curves in history.png">', "file name"),
        ('<img src="a" alt="A line plot of the loss."><img src="b" alt="A line plot of the loss.">', "say the same"),
    ],
)
def test_the_gate_can_fail(html, complaint):
    (fault,) = faults(BeautifulSoup(html, "html.parser"))
    assert complaint in fault


def test_a_good_figure_passes():
    page = BeautifulSoup(
        '<figure><img src="a" alt="A line plot: the loss falls to 5."><figcaption>Look.</figcaption></figure>',
        "html.parser",
    )
    assert not faults(page) and not without_caption(page)
    page.figcaption.decompose()
    assert len(without_caption(page)) == 1
