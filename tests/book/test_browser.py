"""Every page, in a headless Chromium, from the file system and over http: no request leaves, no error is logged."""

from urllib.parse import quote_plus

import pytest

pytestmark = [pytest.mark.book, pytest.mark.browser]


@pytest.fixture(scope="module", params=["file", "http"])
def address(request, site):
    """The address of the book's root, once in the file system and once on a server."""
    return site.as_uri() if request.param == "file" else request.getfixturevalue("served")


@pytest.fixture
def opened(browser, address):
    """A function that opens a page of the book and returns it with what went wrong so far."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    view = context.new_page()
    faults = []
    view.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else faults.append(r.url))
    view.on("requestfailed", lambda r: faults.append(f"failed: {r.url}"))
    view.on("response", lambda r: faults.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
    view.on("console", lambda m: faults.append(f"console: {m.text}") if m.type in ("error", "warning") else None)
    view.on("pageerror", lambda error: faults.append(f"error: {error}"))

    def open_page(name):
        view.goto(f"{address}/{name}", wait_until="load")
        view.wait_for_timeout(150)
        return view, faults

    yield open_page
    context.close()


def test_page_opens_without_network_and_without_errors(opened, page):
    view, faults = opened(f"{page.name}.html")
    assert not faults
    if view.locator("math").count():
        assert view.evaluate("document.fonts.check('16px \"STIX Two Math\"')")
    empty = """theme => {
        document.documentElement.dataset.theme = theme;
        const outputs = [...document.querySelectorAll(".cell_output .output")];
        return outputs.filter(e => !e.innerHTML.trim() && e.offsetHeight).length;
    }"""
    assert not view.evaluate(empty, "dark") + view.evaluate(empty, "light"), "an output with nothing in it takes room"
    view.set_viewport_size({"width": 360, "height": 740})
    view.wait_for_timeout(50)
    wide = view.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360, f"on a narrow screen the page is {wide} pixels wide: wide things scroll in their own box"
    cut = """() => {
        document.querySelectorAll("article details").forEach(e => e.open = true);
        const formulas = [...document.querySelectorAll("article span.math")].filter(e => e.clientWidth);
        return formulas.filter(e => e.scrollWidth > e.clientWidth + 2).map(e => e.textContent.trim());
    }"""
    assert not view.evaluate(cut), "a formula within a line is cut off there, and cannot be scrolled"


def test_what_is_wider_than_a_phone_fades_where_there_is_more(opened):
    view, faults = opened("book/appendix/results.html")
    view.set_viewport_size({"width": 390, "height": 800})
    box = view.locator(".cell_output .text_html:has(table)").first
    view.wait_for_function("e => e.classList.contains('more-right')", arg=box.element_handle())
    assert box.evaluate("e => e.tabIndex") == 0, "the keyboard cannot scroll it"
    box.evaluate("e => e.scrollLeft = e.scrollWidth")
    view.wait_for_function("e => e.className.includes('more-left') && !e.className.includes('more-right')",
                           arg=box.element_handle())  # fmt: skip
    names = box.locator("tbody th").first
    assert names.bounding_box()["x"] < 60, "the names of the rows stay"
    assert not faults


# What is wider than its place without a sign; and what is broken though half the screen could hold it: a name of code,
# of a table or of a title.
CUT = r"""() => {
    const shown = e => !e.closest("svg, math, .said, .preview") && e.checkVisibility();
    const wide = [...document.querySelectorAll("article *, .prev-next-area *")].filter(e =>
        e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 2 && getComputedStyle(e).overflowX !== "visible"
        && !e.matches(".more-left, .more-right") && shown(e)).map(e => e.className + ": " + e.textContent.slice(0, 40));
    const broken = [], range = document.createRange();
    for (const e of document.querySelectorAll("article :is(pre, code, td, th), .unbroken, .prev-next-title")) {
        const texts = document.createTreeWalker(e, NodeFilter.SHOW_TEXT);
        for (let text; shown(e) && (text = texts.nextNode());) {
            for (const name of text.data.matchAll(/[\w-]+/g)) {
                range.setStart(text, name.index);
                range.setEnd(text, name.index + name[0].length);
                const rows = [...range.getClientRects()].filter(row => row.width > 1);
                const width = rows.reduce((sum, row) => sum + row.width, 0);
                const tops = rows.map(row => row.top);
                if (Math.max(...tops) > Math.min(...tops) + 8 && width < innerWidth / 2) broken.push(name[0]);
            }
        }
    }
    return [wide, broken];
}"""


def test_nothing_is_cut_without_a_sign_and_no_name_is_broken(browser, site, page):
    view = browser.new_page(viewport={"width": 820, "height": 800})
    view.goto((site / f"{page.name}.html").as_uri())
    view.evaluate("document.querySelectorAll('article details').forEach(e => e.open = true)")
    for width in (820, 390):
        view.set_viewport_size({"width": width, "height": 800})
        view.wait_for_timeout(150)
        wide, broken = view.evaluate(CUT)
        assert not wide, f"at {width} pixels it is cut, and nothing says so"
        assert not broken, f"at {width} pixels"
    view.close()


def test_code_wraps_on_a_phone_and_is_copied_as_it_was(opened):
    view, faults = opened("book/chapters/06-awd-lstm.html")
    view.set_viewport_size({"width": 390, "height": 800})
    view.wait_for_timeout(50)
    rows = view.evaluate("""() => [...document.querySelectorAll(".cell_input .line")].filter(e => e.checkVisibility())
        .map(e => [e.clientHeight, parseFloat(getComputedStyle(e, "::before").height)])""")
    one = min(height for height, _ in rows)
    assert all(abs(height - one - arrows) < 1 for height, arrows in rows), (
        "an arrow before each further row, and only there"
    )
    assert max(arrows for _, arrows in rows) > one
    lines = view.evaluate("""() => {
        const e = [...document.querySelectorAll(".cell_input pre")].find(e => !e.closest("details"));
        const range = document.createRange();
        range.selectNodeContents(e);
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        return [getSelection().toString(), e.textContent];
    }""")
    assert lines[0].strip() == lines[1].strip()
    assert not faults


def test_the_summary_of_a_chapter_is_whole_on_a_phone(browser, site, chapter):
    view = browser.new_page(viewport={"width": 390, "height": 800})
    view.goto((site / f"{chapter.name}.html").as_uri())
    boxes = "[...document.querySelectorAll('.admonition.tip, .admonition.tip :is(table, td, div)')]"
    cut = view.evaluate(f"{boxes}.filter(e => e.scrollWidth > e.clientWidth + 2).map(e => e.textContent.slice(0, 60))")
    ends = view.evaluate("[...document.querySelectorAll('.prev-next-area .fa-solid')].map(e => e.clientWidth)")
    view.close()
    assert not cut
    assert min(ends) >= 12, "the arrow beside a long title is squeezed"


@pytest.mark.parametrize("name", ["genindex", "py-modindex", "search"])
def test_what_sphinx_adds_fits_on_a_phone(opened, name):
    view, faults = opened(f"{name}.html")
    view.set_viewport_size({"width": 320, "height": 740})
    view.wait_for_timeout(50)
    assert view.evaluate("document.documentElement.scrollWidth") <= 320
    if name == "genindex":
        entry = view.locator("table.genindextable li").first
        assert entry.bounding_box()["width"] > 200, "an entry has the width of the screen"
    assert not faults


def test_search_finds_sections_and_quotes_them(opened):
    view, faults = opened("search.html?q=perplexity")
    view.get_by_text("Search finished").wait_for(timeout=5000)
    found = view.locator("#search-results li")
    assert found.count() >= 10 and found.locator("p.context mark").count() >= 10
    assert not found.filter(has_not=view.locator("p.context mark, a:has-text('erplexity')")).count()
    assert view.locator("#main-content input[name=q]").input_value() == "perplexity"
    found.first.locator("a").click()
    view.wait_for_load_state()
    assert "#" in view.url and view.evaluate("!!document.getElementById(location.hash.slice(1))")
    assert not faults


def test_search_puts_chapters_before_the_reference(opened):
    view, faults = opened("search.html?q=backward")
    view.get_by_text("Search finished").wait_for(timeout=5000)
    places = [link.get_attribute("href") for link in view.locator("#search-results li > a").all()]
    assert "02-vanilla-rnn" in " ".join(places[:3])
    reference = ["/api" in place for place in places]
    assert any(reference) and reference == sorted(reference)
    view.goto(view.url.replace("backward", "nosuchword"))
    view.get_by_text("no section has").wait_for(timeout=5000)
    assert not faults


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("neural cache", "07-neural-cache.html#the-neural-cache"),  # the opening of a chapter is found
        ("how to resume", "04-wikitext-2.html#stopping-and-resuming"),
        ("out-of-vocabulary", "glossary.html#term-out-of-vocabulary"),
        ("Kneser-Ney", "glossary.html#term-KneserNey-smoothing"),  # typed with a hyphen, printed with a dash
        ("perplexities", "glossary.html#term-perplexity"),
        ("my own text", "05-sherlock-holmes.html#bring-your-own-text"),
        ("What is a token?", "05-sherlock-holmes.html#what-is-a-token"),
        ("perplexity nosuchword", "#nats-bits-and-perplexity"),  # no section has both
    ],
)
def test_search_finds_what_a_student_means(opened, typed, first):
    view, faults = opened(f"search.html?q={quote_plus(typed)}")
    view.get_by_text("Search finished").wait_for(timeout=5000)
    assert first in view.locator("#search-results li > a").first.get_attribute("href")
    assert not faults


def test_search_names_an_entry_of_the_reference(opened):
    view, faults = opened("search.html?q=lm.load_corpus")
    entry = view.get_by_role("status").locator("a").first
    assert entry.inner_text() == "text.corpora.load_corpus"
    assert entry.get_attribute("href").endswith("api/text.html#lmtutor.text.corpora.load_corpus")
    assert not faults


def test_theme_button_changes_to_dark_and_back(opened):
    view, faults = opened("book/intro.html")
    seen = set()
    for _ in range(3):
        view.locator("button.theme-switch-button").first.click()
        seen.add(view.evaluate("document.documentElement.dataset.theme"))
    assert seen == {"light", "dark"}
    assert not faults
