"""Every page of the table of contents is there, was executed, and can be read without a network."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytestmark = pytest.mark.book

LOADS = {  # what a browser fetches by itself when it opens a page
    "script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src",
    "embed": "src", "object": "data", "link": "href", "image": "href", "use": "href",
}  # fmt: skip


def test_every_written_page_is_in_the_table_of_contents(pages):
    book = Path(__file__).resolve().parents[2] / "book"
    written = {path for folder in ("chapters", "appendix") for path in (book / folder).rglob("*.md")}
    listed = {book.parent / f"{page.name}.md" for page in pages}
    assert written <= listed


def test_page_is_built_with_its_title(page):
    title = re.search(r"^# (.+)$", page.source, flags=re.M).group(1)
    heading = page.article.find("h1").get_text()
    assert re.sub(r"\W", "", title.split("`")[0]) in re.sub(r"\W", "", heading)


def test_every_code_cell_was_executed(page):
    cells = [tags for tags in page.code_cells() if "remove-cell" not in tags]
    shown = page.article.select("div.cell")
    assert len(shown) == len(cells)
    if cells:
        outputs = page.article.select("div.cell_output")
        assert len(outputs) >= len(cells) / 3, "hardly any cell shows an output: was the page executed?"


def test_page_holds_no_traceback(page):
    may_raise = sum("raises-exception" in tags for tags in page.code_cells())
    text = page.article.get_text()
    assert text.count("Traceback (most recent call last)") <= may_raise
    if not may_raise:
        assert not page.article.select(".output.traceback")
    assert not page.article.select(".system-message, .problematic")


def test_page_shows_no_warning_of_its_cells(page):
    """Nothing in the book writes to stderr on purpose; what stands there is a library's complaint."""
    assert not [output.get_text()[:300] for output in page.article.select(".output.stderr")]


def prose(page):
    """The text of a page without what stands as code."""
    literal = ["pre", "code", "dt", "script", "style"]
    return " ".join(text for text in page.article.find_all(string=True) if not text.find_parent(literal))


def test_page_shows_no_raw_markup(page):
    """A formula or a directive that was not understood would stand in the text as it was typed."""
    for sign in ("$$", r"\begin{", r"\frac", "``", ":::", "{ref}", "{eq}", "{cite", "[ ]"):
        assert sign not in prose(page), f"{sign!r} stands in the text"


def test_no_sentence_became_a_list(page):
    """A line of Markdown that begins with "01.", a docstring that says "B.": lists of one item."""
    assert not [entry.get_text() for entry in page.article.select("ol.simple") if len(entry.find_all("li")) < 2]


def test_page_spells_options_with_two_hyphens(page):
    """Sphinx makes a dash of two hyphens; an option has to stand as code."""
    assert not re.findall(r"(?<!\w)[–—][a-z]\w*", prose(page))


def test_page_asks_no_other_host(page):
    for tag, attribute in LOADS.items():
        for element in page.html.find_all(tag):
            if tag == "link" and element.get("rel", [""])[0] in {"canonical", "next", "prev", "search", "index"}:
                continue
            address = element.get(attribute) or ""
            assert not address.startswith(("http:", "https:", "//")), f"<{tag}> asks for {address}"
    for script in page.html.find_all("script", src=False):
        assert not re.search(r"(src|import|fetch)\W{1,3}https?://", script.get_text())
    for style in page.html.find_all(style=True):
        assert "url(http" not in style["style"]


def test_styles_and_scripts_lie_beside_the_page(page):
    for element in page.html.select("script[src], link[rel=stylesheet], link[rel~=icon], img"):
        address = element.get("src") or element["href"]
        if not address.startswith("data:"):
            assert (page.path.parent / unquote(urlsplit(address).path)).is_file(), address


def test_styles_ask_no_other_host(site):
    for style in (site / "_static").rglob("*.css"):
        text = style.read_text(encoding="utf-8", errors="replace")
        assert not re.search(r"""(@import\s*["']|url\(\s*["']?)\s*(https?:)?//""", text), style.name


def test_no_broken_internal_link(page, anchors_of):
    for link in page.html.select("a[href]"):
        parts = urlsplit(link["href"])
        if parts.scheme or link["href"].startswith("//"):
            continue
        target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path.resolve()
        assert target.is_file(), link["href"]
        if parts.fragment and target.suffix == ".html":
            assert unquote(parts.fragment) in anchors_of(target), link["href"]


def test_no_widget_waits_for_a_kernel(page):
    """An ipywidget in a static page is a slider that does nothing."""
    assert not page.html.select('script[type="application/vnd.jupyter.widget-view+json"]')
