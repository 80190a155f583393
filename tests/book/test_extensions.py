"""What the small extensions add to a page: definitions on hover, index entries, times, the citation, tidier HTML."""

import re

import pytest
import yaml
from bs4 import BeautifulSoup
from docutils import nodes
from tidy import tidy

from tests.helpers import ROOT


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<div>\n<style scoped>\n.dataframe { }\n</style>\n<table>", "<div>\n\n<table>"),
        ('<table id="T_3dae4">', '<table id="T_3dae4" class="dataframe">'),
        ("<tr><th></th><th>a</th></tr>", "<tr><td></td><th>a</th></tr>"),
        ('<th class="head"><p></p></th>', "<td></td>"),
        ('<th class="blank level0" >&nbsp;</th>', "<td></td>"),
        ('<thead>\n<tr class="row-odd"><td></td>\n<td></td>\n</tr>\n</thead>\n<tbody>', "<tbody>"),
        ('<section id="solution-content">', '<section class="solution-content">'),
        ("<p>a<ul><li>b</li></ul>\n</p>", "<p>a<ul><li>b</li></ul>"),
        ('<div class="citation" role="doc-biblioentry">', '<div class="citation" role="listitem">'),
    ],
)
def test_pages_are_tidied_once_and_for_all(before, after):
    assert tidy(before) == after == tidy(after)


def test_tables_of_results_are_laid_out():
    import pandas as pd

    index = pd.Index(["a", "b"], name="run")
    frame = pd.DataFrame({"test": [1.5, 2.25], "source": ["the paper, table 2", "2026-11-20"]}, index=index)
    page = tidy(f"<p>before</p>{frame.to_html()}<p>after</p>")
    assert page == tidy(page) and page.startswith("<p>before</p>") and page.endswith("<p>after</p>")
    table = BeautifulSoup(page, "html.parser").table
    (head,) = table.thead.find_all("tr")
    assert [cell.get_text() for cell in head.find_all(["th", "td"])] == ["run", "test", "source"]
    assert [cell.get_text() for cell in table.select(".words")] == ["source", *frame["source"]]
    assert [cell.get_text() for cell in table.select(".whole")] == ["2026-11-20"]
    two = tidy(frame.rename_axis("column", axis=1).to_html())  # both names are wanted
    assert len(BeautifulSoup(two, "html.parser").thead.find_all("tr")) == 2


def test_reading_time_counts_words_code_and_figures():
    from facts import reading_minutes

    page = nodes.section("", nodes.paragraph("", "word " * 1800))
    assert reading_minutes(page) == 10
    page += nodes.container("", nodes.literal_block("", "a = 1\n" * 100), classes=["cell_input"])
    assert reading_minutes(page) == 15
    page += nodes.raw("", '<img alt="a">' * 15, format="html")
    assert reading_minutes(page) == 20


def test_every_entry_of_the_bibliography_can_be_found():
    from notebooks import bibliography

    nowhere = [key for key, (_, address) in bibliography().items() if address is None]
    assert len(nowhere) <= 5, f"neither DOI nor address: {nowhere}"


@pytest.mark.book
def test_a_chapter_says_how_long_it_takes(chapter):
    told = chapter.article.select_one(".page-facts").get_text()
    assert re.match(r"About \d+ minutes to read\. The cells ran in \d+ (seconds|minutes) when", told)


@pytest.mark.book
def test_a_page_carries_the_definitions_of_the_terms_that_it_links(chapter):
    linked = {a["href"].split("#")[1] for a in chapter.article.select('a[href*="glossary.html#term-"]')}
    shelf = chapter.html.find("template", id="definitions")
    carried = {div["data-term"]: div for div in shelf.find_all(attrs={"data-term": True})}
    assert linked == set(carried)
    for term, div in carried.items():
        shown = re.sub(r"<[^>]*>", " ", div.decode_contents())  # what a template holds is no text of the page
        assert len(shown.split()) > 3, f"{term} is not defined"
        assert not div.find("a")


@pytest.mark.book
def test_the_index_leads_to_the_chapters(site):
    index = BeautifulSoup((site / "genindex.html").read_text(encoding="utf-8"), "html.parser")
    to_chapters = {a["href"].split("#")[0] for a in index.select('a[href*="chapters/"]')}
    assert len(to_chapters) >= 7
    entry = next(li for li in index.select("li") if li.get_text().strip().startswith("perplexity"))
    assert len(entry.select("a")) >= 4, "the glossary and several chapters"


@pytest.mark.book
def test_the_book_says_how_to_cite_it(site):
    facts = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    page = BeautifulSoup((site / "book/appendix/bibliography.html").read_text(encoding="utf-8"), "html.parser")
    text = page.find("article").get_text()
    assert "@misc" in text and facts["title"] in text and facts["version"] in text
    assert len(page.select('a[href^="https://doi.org"]')) >= 40


@pytest.mark.book
def test_a_page_leads_to_the_one_before_and_the_one_after(pages):
    for before, page in zip(pages, pages[1:], strict=False):
        link = page.html.select_one("a.left-prev")
        assert link and (page.path.parent / link["href"]).resolve() == before.path.resolve()
        assert before.html.select_one("a.right-next")


@pytest.mark.book
@pytest.mark.browser
def test_a_definition_appears_at_its_link_and_stays_on_the_screen(browser, site):
    view = browser.new_page(viewport={"width": 390, "height": 800})
    view.goto((site / "book/chapters/07-neural-cache.html").as_uri())
    links = view.locator('article a[href*="#term-"]')
    tip = view.get_by_role("tooltip")
    for number in range(0, links.count(), 5):
        link = links.nth(number)
        link.focus()
        assert tip.is_visible() and link.get_attribute("aria-describedby") == "term-definition"
        box = tip.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    view.keyboard.press("Escape")
    assert not tip.is_visible()
    links.first.hover()
    tip.wait_for(state="visible", timeout=2000)
    view.close()
