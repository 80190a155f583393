"""What the small extensions add to a page: definitions on hover, index entries, times, the citation, tidier HTML."""

import html
import re

import pytest
import yaml
from bs4 import BeautifulSoup
from docutils import nodes
from tidy import tidy

from tests.helpers import ROOT

C = '<span class="math notranslate"><math><mi>c</mi></math></span>'  # a formula within a line


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<div>\n<style scoped>\n.dataframe { }\n</style>\n<table>", "<div>\n\n<table>"),
        ('<table id="T_3dae4">', '<table id="T_3dae4" class="dataframe">'),
        ("<tr><th></th><th>a</th></tr>", "<tr><td></td><th>a</th></tr>"),
        ('<th colspan="3" halign="left">ms</th>', '<th colspan="3">ms</th>'),
        (f"a {C}, b ({C})", f'a <span class="unbroken">{C},</span> b <span class="unbroken">({C})</span>'),
        ('<th class="head"><p></p></th>', "<td></td>"),
        ('<th class="blank level0" >&nbsp;</th>', "<td></td>"),
        ('<thead>\n<tr class="row-odd"><td></td>\n<td></td>\n</tr>\n</thead>\n<tbody>', "<tbody>"),
        ('<section id="solution-content">', '<section class="solution-content">'),
        ("<p>a<ul><li>b</li></ul>\n</p>", "<p>a<ul><li>b</li></ul>"),
        ('<a href="book/chapters/03-lstm.html#i">[1]</a>', '<a href="book/chapters/03-lstm.html#i">chapter 03</a>'),
        ('<a href="book/appendix/results.html#i">[2]</a>', '<a href="book/appendix/results.html#i">results</a>'),
        ('<div class="citation" role="doc-biblioentry">', '<div class="citation" role="listitem">'),
        ('<script src="../_static/scripts/fontawesome.js?digest=1"></script>', ""),
        ('<script src="../_static/copybutton.js"></script>', '<script defer src="../_static/copybutton.js"></script>'),
        ('<div id="jb-print-docs-body"><div>a</div><div><h2>b</h2></div></div><p>c</p>', "<p>c</p>"),
        (
            '<div class="solution dropdown admonition" id="s">\n<p class="admonition-title">Solution to'
            '<a class="r" href="#e"> Exercise 1</a></p><div>deep</div></div>',
            '<details class="solution admonition" id="s">\n<summary class="admonition-title">Solution to'
            " Exercise 1</summary><div>deep</div></details>",
        ),
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
    assert [name.get_text() for name in table.select(".unbroken")] == ["2026-11-20"]
    two = BeautifulSoup(tidy(frame.rename_axis("column", axis=1).to_html()), "html.parser")  # both names are wanted
    assert [row.get_text("|", strip=True) for row in two.select("thead tr")] == ["column →|run ↓|test|source"]


def test_a_command_in_a_table_is_code():
    import pandas as pd

    page = tidy(
        pd.DataFrame({"command": ["python tests/benchmarks/record_law.py --out x", "lmtutor --help"]}).to_html()
    )
    assert page == tidy(page)
    code = BeautifulSoup(page, "html.parser").select("td code")
    assert [cell.get_text() for cell in code] == ["python tests/benchmarks/record_law.py --out x", "lmtutor --help"]
    assert "tests/<wbr/>benchmarks/<wbr/>record_law<wbr/>.py" in str(code[0])


@pytest.mark.parametrize("name", ["WikiText-2", "AWD-LSTM", "n-grams", "1e-6", "UTF-8", "Kneser–Ney", "3–11", "--set"])
def test_a_name_is_not_broken_at_its_hyphen(name):
    page = tidy(f"<h1>of {name}, <code>{name}</code></h1>")
    assert page == f'<h1>of <span class="unbroken">{name}</span>, <code>{name}</code></h1>' == tidy(page)
    assert "unbroken" not in tidy("<title>WikiText-2</title><p>A hand-written, long-term log-probability - or two -")


def test_names_in_a_table_may_go_on_behind_a_slash():
    page = tidy('<table class="table"><tbody><tr><td>baker-street/lstm-64 tokens/s</td></tr></tbody></table>')
    pieces = '<span class="unbroken">baker-street/</span><wbr/><span class="unbroken">lstm-64</span> tokens/s'
    assert pieces in page.replace("<wbr>", "<wbr/>") and tidy(page) == tidy(tidy(page))


def test_short_entries_of_a_table_of_markdown_are_whole():
    rows = "".join(f"<tr><td><p>{text}</p></td></tr>" for text in ("h e n", "t h e n", "one", "a longer entry breaks"))
    page = tidy(f'<div><table class="table"><tbody>{rows}</tbody></table></div>')
    assert page == tidy(page) and page.startswith("<div>") and page.endswith("</div>")
    assert [cell.get_text() for cell in BeautifulSoup(page, "html.parser").select(".whole")] == ["h e n", "t h e n"]


def test_reading_time_counts_words_code_and_figures():
    from facts import reading_minutes

    page = nodes.section("", nodes.paragraph("", "word " * 1800))
    assert reading_minutes(page) == 10
    page += nodes.container("", nodes.literal_block("", "a = 1\n" * 100), classes=["cell_input"])
    assert reading_minutes(page) == 15
    page += nodes.raw("", '<img alt="a">' * 15, format="html")
    assert reading_minutes(page) == 20
    page += nodes.section("", nodes.paragraph("", "word " * 1800), ids=["exercises"])
    assert reading_minutes(page) == 20


def test_every_entry_of_the_bibliography_can_be_found():
    from notebooks import bibliography

    nowhere = [key for key, (_, address) in bibliography().items() if address is None]
    assert len(nowhere) <= 5, f"neither DOI nor address: {nowhere}"


@pytest.mark.book
def test_a_chapter_says_how_long_it_takes(chapter):
    told = chapter.article.select_one(".page-facts").get_text()
    assert re.match(
        r"About \d+ minutes to read, without the exercises\. The cells ran in \d+ (seconds|minutes) when", told
    )


@pytest.mark.book
def test_a_page_carries_what_it_links_to_on_other_pages(chapter):
    linked = {a["href"] for a in chapter.article.select('a[href*="glossary.html#term-"], a[href*=".html#equation-"]')}
    shelf = chapter.html.find("template", id="previews")
    carried = {div["data-of"]: div for div in shelf.find_all(attrs={"data-of": True})}
    assert linked <= set(carried)
    for address, div in carried.items():
        shown = re.sub(r"<[^>]*>", " ", div.decode_contents())  # what a template holds is no text of the page
        assert len(shown.split()) > 3, f"{address} shows nothing"
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


def test_of_the_styles_of_others_only_what_is_used_is_kept():
    from offline import purge

    style = """/* a */.a{x:1}.b,.a:hover{x:2}@media print{.b{x:3}.a .c{x:4}}@media screen{.b{x:5}}
    @font-face{src:url(fontawesome.woff)}h1.a{x:6}:is(.a,.b){x:7}:not(.b){x:8}@keyframes k{from{x:9}}"""
    kept = "".join(purge(style, {"a", "c"}).split())
    assert kept == (
        ".a{x:1}.a:hover{x:2}@mediaprint{.a.c{x:4}}h1.a{x:6}:is(.a,.b){x:7}:not(.b){x:8}@keyframesk{from{x:9}}"
    )


def test_styles_of_all_pages_become_one(tmp_path):
    from offline import bundle

    (tmp_path / "_static" / "styles").mkdir(parents=True)
    (tmp_path / "book").mkdir()
    for name, rule in (
        ("styles/a.css", '@import "../g.css";a{b:url(../c.png)}'),
        ("d.css", "e{}"),
        ("own.css", "f{}"),
        ("g.css", "g{}"),
    ):
        (tmp_path / "_static" / name).write_text(rule, encoding="utf-8")
    links = (
        '<link href="{0}_static/styles/a.css?v=1" rel="stylesheet" />\n<link rel="stylesheet" href="{0}_static/d.css">'
    )
    (tmp_path / "one.html").write_text(links.format(""), encoding="utf-8")
    own = '<link rel="stylesheet" href="../_static/own.css">'
    (tmp_path / "book" / "two.html").write_text(links.format("../") + own, encoding="utf-8")
    bundle(tmp_path)
    assert (tmp_path / "_static" / "common.css").read_text(encoding="utf-8") == "g{}a{b:url(c.png)}e{}"
    assert (tmp_path / "one.html").read_text(
        encoding="utf-8"
    ).strip() == '<link rel="stylesheet" href="_static/common.css">'
    two = (tmp_path / "book" / "two.html").read_text(encoding="utf-8").split("\n")
    assert two == ['<link rel="stylesheet" href="../_static/common.css">', own]


def test_the_search_knows_sections_terms_and_names():
    from search import sections

    body = (
        '<h1>P</h1><section id="a"><h1>Top<a class="headerlink">#</a></h1><p>One <b>two</b>.</p><section id="b"><h2>In'
        '</h2><svg><text>no</text></svg><p>three</p></section></section><dl><dt id="term-x">xx</dt><dd>four</dd>'
        '<dt class="sig" id="lmtutor.m.f">lmtutor.m.f(x)</dt><dd>five</dd></dl>'
    )
    assert sections(body) == [
        ("a", "Top", "One two."), ("b", "In", "three"), ("term-x", "xx", "four"), ("lmtutor.m.f", "f", "five"),
    ]  # fmt: skip


@pytest.mark.book
def test_no_formula_is_parted_from_its_stop(chapter):
    """A line may break behind a formula, and then begin with the stop: the two stand in one element."""
    formulas = [formula.parent for formula in chapter.article.select("span.math > math")]
    stopped = [f for f in formulas if isinstance(f.next_sibling, str) and f.next_sibling[:1] in {*".,;:?!)"}]
    assert formulas and all("unbroken" in formula.parent.get("class", []) for formula in stopped)


def test_a_line_of_code_goes_on_between_names():
    from listings import SHORT, WIDE, Lines
    from pygments import highlight
    from pygments.lexers import BashLexer, PythonLexer, TextLexer

    def rows(text, lexer):
        shown = re.sub("<(?!wbr)[^>]*>", "", tidy(highlight(text, lexer, Lines())))
        return html.unescape(shown).rstrip("\n").split("<wbr>")

    code = '        best = runs.query("epoch > 3")["valid"].idxmin() - 1e-6 + runs.first()'
    assert rows(code, PythonLexer()) == [
        "        best ", "= ", "runs.query(", '"epoch ', "> ", '3")', '["valid"]', ".idxmin() ", "- ", "1e-6 ", "+ ",
        "runs.first()",
    ]  # fmt: skip
    assert rows("perplexity 171.59 (5.1451 nats per token)", TextLexer())[1:3] == ["171.59 ", "(5.1451 "]
    command = "lmtutor train wikitext-2/awd-lstm-600 --log-every 5"
    assert rows(command, BashLexer()) == ["lmtutor ", "train ", "wikitext-2/", "awd-lstm-600 ", "--log-every ", "5"]
    assert rows("a b" * (SHORT // 3), TextLexer()) == ["a b" * (SHORT // 3)], "what fits everywhere"
    assert [len(row) for row in rows("&" * 2 * WIDE + "x", TextLexer())] == [WIDE, WIDE, 1], "what fits nowhere"
