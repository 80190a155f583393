"""What has a number is a link where it is named, and shows itself beside the link."""

import re

import pytest
from bs4 import BeautifulSoup
from references import CHAPTER, NO_PROSE, NUMBERED, link_numbers


def link(kind, number):
    return None if number == "9.9" else f"#{kind}-{number}"


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("by (2.7) and (3.10)", ["equation-2.7", "equation-3.10"]),
        ("Chapters 02, 03 and 06", ["chapter-02", "chapter-03", "chapter-06"]),
        ("chapters 02 to 04", ["chapter-02", "chapter-04"]),
        ("as chapter\n02 and chapters 03\nand 04 say", ["chapter-02", "chapter-03", "chapter-04"]),
        ("Fig. 4.3, Figure 2.1 and Table 6.12", ["figure-4.3", "figure-2.1", "table-6.12"]),
        ("half (0.5), (1, 2.5), 2.7, chapter 2, version (2.13.0)", []),
    ],
)
def test_numbers_become_links_to_what_has_them(text, targets):
    page = link_numbers(f"<p>{text}</p>", link, pytest.fail)
    soup = BeautifulSoup(page, "html.parser")
    assert [a["href"] for a in soup.select("a")] == [f"#{target}" for target in targets]
    assert soup.get_text() == text
    assert link_numbers(page, link, pytest.fail) == page, "a second time changes nothing"


def test_code_headings_and_results_are_left_alone_but_for_comments():
    for page in (
        "<pre>x = (2.7)</pre>", "<p><code>(2.7)</code></p>", "<h2>chapter 02</h2>", "<a>Fig. 4.3</a>",
        '<table class="dataframe"><td>(2.7)</td></table>', '<span class="caption-number">Fig. 4.3</span>',
        '<svg><text>(2.7)</text></svg>', "<p>1 < 2</p>",
        "<script>for (i = 0; i < 2; i++) if (i<n && n>(2.7)) f();</script>",
    ):  # fmt: skip
        assert link_numbers(page, link, pytest.fail) == page
    comment = '<pre><span class="n">a</span> (2.7) <span class="c1"># (2.7)</span></pre>'
    assert link_numbers(comment, link, pytest.fail).count("<a ") == 1
    assert link_numbers("<table><td>(2.7)</td></table>", link, pytest.fail).count("<a ") == 1


def test_what_has_no_target_is_reported():
    missing = []
    assert link_numbers("<p>(9.9)</p>", link, missing.append) == "<p>(9.9)</p>" and missing == ["(9.9)"]


@pytest.mark.book
def test_no_number_is_left_without_a_link(page):
    own = re.match(r"\d\d", page.name.split("/")[-1])
    for text in page.article.find_all(string=True):
        outer = [parent.name for parent in text.parents]
        if set(outer) & {*NO_PROSE, "a"} or text.find_parent(class_=["dataframe", "caption-number", "eqno"]):
            continue
        named = [m[0] for m in NUMBERED.finditer(text)] + [m[0] for m in CHAPTER.finditer(text)]
        assert not [name for name in named if not (own and own[0] in name)], text


@pytest.mark.book
def test_equations_are_numbered_in_order_at_one_place(chapter):
    numbers = [re.search(r"\d+\.\d+", n.get_text())[0] for n in chapter.article.select(".eqno")]
    first = int(chapter.name.split("/")[-1][:2])
    assert numbers == [f"{first}.{n}" for n in range(1, len(numbers) + 1)] and numbers
    assert r"\qquad (" not in chapter.source and r"\tag" not in chapter.source


@pytest.mark.book
@pytest.mark.browser
def test_equation_numbers_stand_at_the_right_edge(browser, site, chapter):
    view = browser.new_page(viewport={"width": 1280, "height": 900})
    view.goto(chapter.path.as_uri())
    edges = view.evaluate("""() => [...document.querySelectorAll("article .eqno")].filter(e => e.checkVisibility())
        .map(e => Math.round((e.querySelector("mtext") ?? e).getBoundingClientRect().right))""")
    view.close()
    assert len({round(edge / 10) for edge in edges}) == 1


KINDS = {
    "term": ("07-neural-cache", 'article a[href*="#term-"]', "gives each token"),
    "equation": ("02-vanilla-rnn", 'p a[href="#equation-eq-rnn-dh"]', "(2.7)"),
    "equation of another page": ("08-what-came-next", 'a[href*="07-neural-cache.html#equation-"]', "cache"),
    "figure": ("01-language-models", 'a.internal[href="#fig-zipf"]', "Fig. 1."),
    "citation": ("07-neural-cache", 'a[href*="bibliography.html#"]', "19"),
}


@pytest.mark.book
@pytest.mark.browser
@pytest.mark.parametrize("kind", KINDS)
def test_a_link_shows_what_it_leads_to(browser, site, kind):
    page, selector, said = KINDS[kind]
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True)
    view = context.new_page()
    view.goto((site / f"book/chapters/{page}.html").as_uri())
    box, place = view.get_by_role("tooltip"), view.locator(selector).first
    assert not box.count() or not box.is_visible()
    place.focus()
    assert box.is_visible() and place.get_attribute("aria-describedby") == "preview"
    assert said in box.inner_text() or said in (box.text_content() or "")
    edges = box.bounding_box()
    assert edges["x"] >= 0 and edges["x"] + edges["width"] <= 390
    view.keyboard.press("Escape")
    assert not box.is_visible()
    place.evaluate("e => e.blur()")
    place.hover()
    box.wait_for(state="visible", timeout=2000)
    view.mouse.move(1, 1)
    box.wait_for(state="hidden", timeout=2000)
    here = view.url
    place.tap()  # the first tap shows, the second goes
    assert box.is_visible() and view.url == here and "again" in box.inner_text()
    place.tap()
    view.wait_for_url(lambda url: url != here)
    context.close()


@pytest.mark.book
@pytest.mark.browser
def test_a_preview_stays_while_the_pointer_is_on_it(browser, site):
    view = browser.new_page(viewport={"width": 1280, "height": 900})
    view.goto((site / "book/chapters/07-neural-cache.html").as_uri())
    view.locator('article a[href*="#term-"]').first.hover()
    box = view.get_by_role("tooltip")
    box.wait_for(state="visible")
    box.hover()
    view.wait_for_timeout(400)
    assert box.is_visible()
    view.close()
