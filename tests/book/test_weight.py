"""How heavy and how quick a page is: bytes transferred, largest contentful paint, letters on a narrow screen."""

import gzip
import os

import pytest

from tests.benchmarks.record_paint import LIMITS, first_paint, weigh

pytestmark = [pytest.mark.book, pytest.mark.browser]

LIMIT = 700_000  # bytes a page, compressed as a server would send it, with all that it loads by itself
PAINT = 1500  # milliseconds
BLOCKING = 60_000  # bytes, compressed, of styles and scripts that a page waits for before it shows anything
SMALLEST = 10  # pixels, of any text on a narrow screen

LCP = """() => new Promise(done => new PerformanceObserver(list => done(list.getEntries().at(-1).startTime))
         .observe({type: "largest-contentful-paint", buffered: true}))"""
TINY = """smallest => [...document.querySelectorAll("article *")].filter(e => e.checkVisibility()
            && [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())
            && !e.closest("math, svg") && parseFloat(getComputedStyle(e).fontSize) < smallest)
          .map(e => e.textContent.trim().slice(0, 40))"""


def compressed(kind: str, body: bytes) -> int:
    """Return the bytes that a server sends for a file: text compressed, pictures and fonts as they are."""
    text = any(word in kind for word in ("text", "javascript", "json", "svg", "xml"))
    return len(gzip.compress(body, 6)) if text else len(body)


def test_page_is_light_and_quick(browser, served, page):
    sent, paints = {}, []
    for attempt in range(3):  # the best of three: the machine has other things to do
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        view = context.new_page()
        if attempt == 0:
            view.on("response", lambda r: sent.update({r.url: compressed(r.headers.get("content-type", ""), r.body())}))
        view.goto(f"{served}/{page.name}.html", wait_until="networkidle")
        paints.append(view.evaluate(LCP))
        context.close()
        if paints[-1] <= PAINT:
            break
    assert sum(sent.values()) <= LIMIT, sorted(((n, url) for url, n in sent.items()), reverse=True)[:4]
    assert min(paints) <= PAINT, f"largest contentful paint after {min(paints):.0f} ms"


def test_text_is_legible_on_a_narrow_screen(browser, served, page):
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    view = context.new_page()
    view.goto(f"{served}/{page.name}.html", wait_until="load")
    view.add_style_tag(content="details > * { display: block !important }")
    wide = view.evaluate("document.documentElement.scrollWidth")
    tiny = view.evaluate(TINY, SMALLEST)
    context.close()
    assert wide <= 360, f"the page is {wide} pixels wide: wide things scroll in their own box"
    assert not tiny, tiny[:5]


def test_a_page_waits_for_little_before_it_shows_itself(page):
    """What blocks the first paint: the styles, and scripts of the head that are neither deferred nor a few lines."""
    blocking = [link["href"] for link in page.html.select("head link[rel=stylesheet]")]
    blocking += [script["src"] for script in page.html.select("head script[src]:not([defer])")]
    files = {(page.path.parent / address.split("?")[0]).resolve() for address in blocking}
    assert sum(len(gzip.compress(file.read_bytes(), 6)) for file in files) <= BLOCKING
    assert len(files) <= 4, "each is a round trip"


@pytest.mark.parametrize("name", ["genindex", "py-modindex", "search"])
def test_the_indexes_are_light(browser, compressing, name):
    assert weigh(browser, f"{compressing}/{name}.html")[0] <= LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("name", LIMITS)
def test_a_slow_phone_shows_a_page_soon(browser, compressing, name):
    if os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1):
        pytest.skip("this machine has too much to do for a measurement of time")
    paints = []
    for _ in range(5):
        paints.append(first_paint(browser, f"{compressing}/{name}.html"))
        if paints[-1] <= LIMITS[name]:
            break
    assert min(paints) <= LIMITS[name], f"first paint after {min(paints):.0f} ms"
