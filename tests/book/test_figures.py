"""Figures: numbered, told to those who cannot see them, part of the page in both themes, and whole on a phone."""

import io
import re
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup

BOOK = Path(__file__).resolve().parents[2] / "book"
ALT = re.compile(r"\.(png|svg|jpe?g|gif)$")


def pictures(article) -> dict[str, str]:
    """Return the alternative text of each figure, by what draws it."""
    drawn = article.select("img, .lm-figure > svg:not(.narrow)")
    return {str(picture)[-4000:]: (picture.get("alt") or picture.get("aria-label") or "").strip() for picture in drawn}


def faults(article) -> list[str]:
    """Return one line for each figure without an alternative text, or with one that says nothing."""
    found, seen = [], set()
    for alt in pictures(article).values():
        if len(alt) < 15 or " " not in alt:
            found.append(f"a figure has no alternative text: {alt!r}")
        elif ALT.search(alt):
            found.append(f"{alt!r} is a file name")
        elif alt in seen:
            found.append(f"two figures say the same: {alt[:60]!r}")
        seen.add(alt)
    return found


@pytest.mark.book
def test_every_figure_says_what_it_shows(page):
    assert not faults(page.article)


@pytest.mark.parametrize(
    ("html", "complaint"),
    [
        ('<img src="a.svg">', "no alternative text"),
        ('<div class="lm-figure"><svg aria-label=""></svg></div>', "no alternative text"),
        ('<img src="a.svg" alt="figure1-of-the-chapter.svg">', "no alternative text"),
        ('<img src="a.svg" alt="the curves in history.png">', "file name"),
        ('<img src="a" alt="A line plot of the loss."><img src="b" alt="A line plot of the loss.">', "say the same"),
    ],
)
def test_the_gate_can_fail(html, complaint):
    (fault,) = faults(BeautifulSoup(html, "html.parser"))
    assert complaint in fault


# --- In the pages


def test_captions_are_true_where_panels_stand_below_one_another():
    """A phone stacks what stands side by side."""
    side = r"(^|[.:;,(] )(On the |From )?(left|right|middle)( to right)?[,:;)]|on the (left|right)\b"
    said = []
    for file in sorted(BOOK.rglob("*.md")):
        for caption in re.findall(r"caption: \|\n((?: {6}.*\n)+)", file.read_text(encoding="utf-8")):
            words = " ".join(caption.split())
            said += [words for _ in re.finditer(side, words, flags=re.I)]
    assert not said


@pytest.mark.book
def test_every_figure_and_table_has_a_number(page):
    for thing in page.article.select(".lm-figure, table"):
        around = thing.find_parents("figure")  # a control's figure stands in one of its own
        panel = thing.find_parent(class_="panel")
        assert panel or any(figure.select_one(".caption-number") for figure in around), str(thing)[:200]


@pytest.mark.book
@pytest.mark.parametrize("kind", ["Fig.", "Table"])
def test_the_numbers_are_consecutive(pages, kind):
    """In a chapter they are 2.1, 2.2, …; those of all other pages go on from page to page."""
    others = []
    for page in pages:
        shown = [n.get_text().split() for n in page.article.select("figcaption .caption-number")]
        numbers = [number for name, number in shown if name == kind]
        if chapter := re.match(r"\d\d", page.name.split("/")[-1]):
            assert numbers == [f"{int(chapter[0])}.{n}" for n in range(1, len(numbers) + 1)], page.name
        else:
            others += numbers
    assert others == [str(n) for n in range(1, len(others) + 1)]


@pytest.mark.book
def test_figures_are_drawn_into_the_page_with_words(page):
    text = page.path.read_text(encoding="utf-8")
    assert "data:image/svg+xml;base64" not in text and "_images/" not in text
    for figure in page.article.select(".lm-figure"):
        shown = figure.select("svg")
        assert [svg["class"] for svg in shown] == [["wide"], ["narrow"]]
        words = [[t for t in svg.select("text") if re.search("[A-Za-z]", t.get_text())] for svg in shown]
        assert all(words), "letters, not their outlines"
    names = [element["id"] for element in page.article.find_all(id=True)]
    assert len(names) == len(set(names))
    asked = re.findall(r'url\(#([^)]+)\)|<use [^>]*href="#([^"]+)"', str(page.article))
    assert {one or other for one, other in asked} <= set(names), "a clipping, a letter, a hatch"


@pytest.mark.book
def test_what_a_control_shows_later_lies_in_a_file(chapter):
    for explorer in chapter.article.select(".lm-explorer"):
        filled = [state for state in explorer.select(".lm-state") if len(state.find_all(recursive=False)) > 1]
        assert len(filled) == 1 and (chapter.path.parent / explorer["data-states"]).is_file()


@pytest.mark.book
@pytest.mark.browser
def test_a_control_shows_what_lies_in_its_file(browser, site):
    view = browser.new_page()
    view.goto((site / "book/chapters/07-neural-cache.html").as_uri())
    explorer = view.locator(".lm-explorer").first
    control = explorer.locator("input, select").first
    control.focus()
    view.wait_for_function("e => [...e.querySelectorAll('.lm-state')].every(s => s.children.length > 1)",
                           arg=explorer.element_handle())  # fmt: skip
    before = explorer.locator(".lm-state:visible").inner_text()
    if control.evaluate("e => e.tagName") == "SELECT":
        control.select_option(index=1)
    else:
        view.keyboard.press("End")
    shown = explorer.locator(".lm-state:visible")
    assert shown.count() == 1 and shown.inner_text() != before
    view.close()


LETTERS = """smallest => [...document.querySelectorAll(".lm-figure svg text")]
    .filter(e => e.checkVisibility() && e.textContent.trim())
    .map(e => {  // in a formula the largest counts: an index is smaller
        const parts = e.querySelector("tspan") ? [...e.querySelectorAll("tspan")] : [e];
        const largest = Math.max(...parts.map(part => parseFloat(getComputedStyle(part).fontSize)));
        return [largest * Math.hypot(e.getScreenCTM().a, e.getScreenCTM().b), e.textContent];
    }).filter(([size]) => size < smallest)"""
CUT = """() => [...document.querySelectorAll(".lm-figure svg")].filter(e => e.checkVisibility()).filter(e => {
    const box = e.getBoundingClientRect();
    return box.left < 0 || box.right > innerWidth || box.width < 200;
}).map(e => e.getAttribute("aria-label"))"""
OUTSIDE = """() => [...document.querySelectorAll(".lm-figure svg text")].filter(e => e.checkVisibility()).filter(e => {
    const box = e.getBoundingClientRect(), whole = e.closest("svg").getBoundingClientRect();
    return box.left < whole.left - 2 || box.right > whole.right + 2 || box.top < whole.top - 2
        || box.bottom > whole.bottom + 2;
}).map(e => e.textContent)"""


TOUCHING = """() => [...document.querySelectorAll(".lm-figure svg")].filter(e => e.checkVisibility()).flatMap(svg => {
    const flat = e => Math.abs(e.getScreenCTM().b) < 0.01, found = [];
    const filled = [...svg.querySelectorAll("path")].filter(e => getComputedStyle(e).fill !== "none");
    const frames = filled.filter(e => getComputedStyle(e).stroke !== "none").map(e => e.getBoundingClientRect());
    const framed = a => frames.some(f => f.left <= a.left + 1 && f.right >= a.right - 1 && f.top <= a.top
        && f.bottom >= a.bottom && f.width < a.right - a.left + 30);  // a box; paper without one hides no line
    const boxes = [...svg.querySelectorAll("text")].filter(e => e.textContent.trim() && flat(e)).map(e => {
        const {left, right, top, bottom, height} = e.getBoundingClientRect();  // letters fill three fifths of it
        return {left, right, top: top + height / 5, bottom: bottom - height / 5, said: e.textContent.trim()};
    });
    boxes.forEach((a, i) => boxes.slice(0, i).forEach(b => {
        const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (across > 0.5 && down > 1) found.push(`${b.said} on ${a.said}`);
    }));
    const bare = boxes.filter(box => !framed(box));
    for (const path of svg.querySelectorAll("path")) {
        const {fill, stroke, strokeWidth} = getComputedStyle(path), length = path.getTotalLength();
        if (fill !== "none" || stroke === "none" || parseFloat(strokeWidth) < 0.85 || length < 40) continue;
        for (let at = 0; at <= length; at += Math.max(2, length / 4000)) {
            const {x, y} = path.getPointAtLength(at).matrixTransform(path.getScreenCTM());
            const under = b => x > b.left + 1 && x < b.right - 1 && y > b.top + 1 && y < b.bottom - 1;
            found.push(...bare.filter(under).map(b => `a line on ${b.said}`));
        }
    }
    const papers = filled.slice(0, 1).map(e => getComputedStyle(e).fill);
    const bars = filled.filter(e => !papers.includes(getComputedStyle(e).fill)).map(e => e.getBoundingClientRect());
    for (const e of svg.querySelectorAll("text")) {  // upright ones too
        const a = e.getBoundingClientRect(), m = e.getScreenCTM(), upright = Math.abs(m.a) < 0.01;
        if (!e.textContent.trim() || !(upright || flat(e))) continue;
        const side = upright ? 0 : a.height / 5;
        const dips = bars.some(f => Math.min(f.right, a.right) - Math.max(f.left, a.left) > 2
            && f.top > a.top + side + 1 && f.top < a.bottom - side + (upright ? 0.5 : -1.5));
        if (dips) found.push(`${e.textContent.trim()} dips into a bar`);
    }
    return [...new Set(found)];
})"""


@pytest.mark.book
@pytest.mark.browser
@pytest.mark.parametrize("width", [1440, 820, 390])
def test_figures_are_whole_at_every_width(browser, site, page, width):
    if not page.article.select(".lm-figure"):
        pytest.skip("no figure here")
    view = browser.new_page(viewport={"width": width, "height": 900})
    view.goto(page.path.as_uri())
    view.evaluate("document.fonts.ready")
    found = [view.evaluate(CUT), view.evaluate(OUTSIDE), view.evaluate(LETTERS, 9), view.evaluate(TOUCHING)]
    view.close()
    assert found == [[], [], [], []], "cut off, words outside, letters below 9 pixels, or something on a word"


@pytest.mark.book
@pytest.mark.browser
def test_a_tap_enlarges_a_figure_on_a_phone(browser, site):
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True)
    view = context.new_page()
    view.goto((site / "book/intro.html").as_uri())
    figure = view.locator(".lm-figure").first
    before = figure.locator("svg.narrow").bounding_box()["width"]
    figure.tap()
    large = view.locator("dialog.lm-large svg")
    assert large.bounding_box()["width"] > 1.8 * before
    view.keyboard.press("Escape")
    assert (
        not view.locator("dialog.lm-large").is_visible()
        and figure.locator("svg.narrow").bounding_box()["width"] == before
    )
    figure.get_by_role("button", name="Enlarge the figure").focus()
    view.keyboard.press("Enter")
    assert large.is_visible()
    context.close()


@pytest.mark.book
@pytest.mark.browser
def test_dark_figures_belong_to_the_dark_page(browser, site, chapter):
    from PIL import Image

    view = browser.new_page(color_scheme="dark", viewport={"width": 1280, "height": 900})
    view.goto(chapter.path.as_uri())
    plates = []
    for figure in view.locator(".lm-figure").all()[:6]:
        shown = np.asarray(Image.open(io.BytesIO(figure.screenshot())).convert("L"), dtype=float)
        rim = np.concatenate([shown[0], shown[-1], shown[:, 0], shown[:, -1]])
        maps = figure.locator("image").count()  # whose numbers may be bright
        plates.append(np.median(rim if maps else shown))
    view.close()
    assert all(ground < 60 for ground in plates), "a bright plate"


# --- The parts


@pytest.fixture
def drawn():
    from figures import draw_in

    from lmtutor.display.figures import figure, to_html

    fig, (left, right) = figure(1, 2)
    left.plot([1, 2], [3, 5], marker="o")
    right.imshow(np.eye(3), cmap="Blues")
    right.set(xlabel="a <b> & c", ylabel="$h_t$")
    return to_html(fig, 'Two "plots" & more'), draw_in(to_html(fig, 'Two "plots" & more'), count(), "p-")


def test_a_picture_becomes_a_drawing(drawn):
    picture, page = drawn
    soup = BeautifulSoup(page, "html.parser")
    wide, narrow = soup.select(".lm-figure > svg")
    assert wide["aria-label"] == narrow["aria-label"] == 'Two "plots" & more' and wide["role"] == "img"
    assert any("a <b> & c" in text.get_text() for text in wide.select("text"))
    assert "#0072b2" not in re.sub(r"var\(--c0072b2,#0072b2\)", "", page), "colours follow the theme"
    assert "<metadata" not in page and "<style" not in page and len(page) < len(picture) / 1.5
    assert {image["class"][0] for image in soup.select("image")} == {"on-white"}


def test_hatched_bars_keep_their_hatch_and_their_ground():
    from figures import draw_in

    from lmtutor.display.figures import figure, to_html

    fig, ax = figure(1, 1)
    ax.bar([1, 2], [3, 4], hatch="//", color="#d55e00")
    ax.set(xlabel="kind")
    page = draw_in(to_html(fig, "Two hatched bars."), count(), "p-")
    soup = BeautifulSoup(page, "html.parser")
    names = {pattern["id"] for pattern in soup.select("pattern")}
    bars = re.findall(r"fill:url\(#([^)]+)\)", page)
    assert len(bars) == 4 and set(bars) == names, "two bars, wide and narrow"
    assert all("var(--cd55e00,#d55e00)" in ground["style"] for ground in soup.select("pattern rect"))


def test_colours_keep_their_contrast_in_the_dark():
    from figures import in_the_dark

    from lmtutor.display.figures import COLOURS, INK, MUTED

    def luminance(colour):
        parts = [value / 255 for value in bytes.fromhex(colour)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    ground = luminance("12181b")
    for colour in (*COLOURS, "#1f77b4", "#000000"):
        assert (luminance(in_the_dark(colour[1:])) + 0.05) / (ground + 0.05) >= 3, colour
    for colour in (INK, MUTED):
        assert (luminance(in_the_dark(colour[1:])) + 0.05) / (ground + 0.05) >= 4.5
    assert luminance(in_the_dark("ffffff")) < 0.05


def test_letters_on_a_heat_map_keep_their_colours_as_it_does():
    import pandas as pd
    from figures import draw_in, in_the_dark

    from lmtutor.display import plots
    from lmtutor.display.figures import to_html

    rows = [dict(window=w, theta=t, lam=0.1, perplexity=3 * w + t) for w in (17, 27) for t in (0.0, 1.0)]
    fig = plots.plot_cache_surface(pd.DataFrame(rows), dict(window=17, theta=0.0, lam=0.1), "x")
    soup = BeautifulSoup(draw_in(to_html(fig, "A map with numbers."), count(), "p-"), "html.parser")
    for svg in soup.select("svg:has(image)"):
        letters = {text.get_text(): text["style"] for text in svg.select("text") if ":8px" in text["style"]}
        assert all("var(--c010101,#010101)" in letters[number] for number in ("51", "52"))
        assert all("var(--cfefefe,#fefefe)" in letters[number] for number in ("81", "82"))
    assert all(in_the_dark(colour) == colour for colour in ("fefefe", "010101"))


def test_what_is_shown_later_is_put_aside_and_nothing_else():
    from figures import put_aside

    import lmtutor as lm

    states = {1: "<p>one<div>in</div></p>", 2: "<div>two <div>deep</div></div>", 3: "three"}
    page = "<p>before</p>" + lm.widgets.explorer("order", states, start=2)._repr_html_() + "<p>after</p>"
    kept, (aside,) = put_aside(page)
    assert aside == [states[1], "", '<pre style="white-space:pre-wrap">three</pre>']
    assert states[2] in kept and states[1] not in kept and kept.endswith("<p>after</p>")
    soup = BeautifulSoup(kept, "html.parser")
    assert [state["data-name"] for state in soup.select(".lm-state")] == ["1", "2", "3"]
    menu = lm.widgets.explorer("name", {"a": "<p>A</p>", "b": "<p>B</p>"}, start="b")._repr_html_()
    assert put_aside(menu + menu)[1] == [["<p>A</p>", ""], ["<p>A</p>", ""]]
