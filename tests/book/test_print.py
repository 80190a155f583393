"""The book on paper: pages of one PDF with an outline, links that lead within it, and nothing left for a click."""

import re

import pytest

pytestmark = [pytest.mark.book, pytest.mark.browser, pytest.mark.slow]

SOME = ["book/chapters/04-wikitext-2", "book/appendix/glossary"]


@pytest.fixture(scope="module")
def printed(site, tmp_path_factory):
    import print_pdf
    from pypdf import PdfReader

    target = tmp_path_factory.mktemp("print") / "book.pdf"
    print_pdf.print_book(site, target, SOME)
    return PdfReader(target)


def flat(outline) -> list:
    return [entry for part in outline for entry in (flat(part) if isinstance(part, list) else [part])]


def test_text_outline_and_numbers_are_there(printed):
    text = [page.extract_text() for page in printed.pages]
    together = " ".join(" ".join(text).split())
    assert "The learning rate of 20 looks absurd" in together
    assert "An untrained network" in together or "an untrained network" in together, "a solution is shown on paper"
    assert "Open in Colab" not in together
    titles = [entry.title for entry in flat(printed.outline)]
    assert any("Training on WikiText-2" in title for title in titles) and any("Glossary" in title for title in titles)
    assert all(words.strip() for words in text), "an empty sheet"
    assert text[3].strip().endswith("4") or text[3].strip().startswith("4"), "sheets are numbered"


def test_links_between_pages_lead_within_the_document(printed):
    inside, outside = 0, []
    for page in printed.pages:
        for annotation in page.get("/Annots", []):
            action = annotation.get_object().get("/A", {})
            inside += "/Dest" in annotation.get_object() or action.get("/S") == "/GoTo"
            outside += [action["/URI"]] if "/URI" in action else []
    assert inside > 20
    assert not [address for address in outside if not address.startswith(("http", "mailto"))]


def one_page(browser, site, theme: str, name: str, tmp_path):
    """Print a page as a reader does, from the theme that it is read in."""
    from pypdf import PdfReader

    view = browser.new_page(color_scheme=theme)
    view.goto((site / f"{name}.html").as_uri())
    view.wait_for_timeout(200)
    assert view.evaluate("document.documentElement.dataset.theme") == theme
    target = tmp_path / f"{theme}.pdf"
    view.pdf(path=target, format="A4", print_background=True)
    after = view.evaluate("document.documentElement.dataset.theme")
    view.close()
    return PdfReader(target), after


@pytest.mark.parametrize("name", ["book/chapters/03-lstm", "book/chapters/04-wikitext-2"])
def test_a_dark_page_prints_as_the_light_one_does(browser, site, tmp_path, name):
    dark, after = one_page(browser, site, "dark", name, tmp_path)
    light, _ = one_page(browser, site, "light", name, tmp_path)
    assert after == "dark", "on the screen nothing changes"
    assert [page.extract_text() for page in dark.pages] == [page.extract_text() for page in light.pages]
    colours = [set(re.findall(rb"[\d.]+ [\d.]+ [\d.]+ rg", p.get_contents().get_data())) for p in dark.pages]
    assert colours == [set(re.findall(rb"[\d.]+ [\d.]+ [\d.]+ rg", p.get_contents().get_data())) for p in light.pages]


def test_a_printed_page_has_its_number_no_second_contents_and_no_code_that_only_draws(browser, site, tmp_path):
    printed, _ = one_page(browser, site, "light", "book/chapters/03-lstm", tmp_path)
    text = [page.extract_text() for page in printed.pages]
    assert text[0].lstrip().startswith("3.") and "Contents" not in text[0]
    together = " ".join(text)
    assert "Show code cell source" not in together and "plt.subplots" not in together
    assert "Solution to" in together


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_headings_and_text_are_dark_on_white_paper(browser, site, theme):
    view = browser.new_page(color_scheme=theme)
    view.goto((site / "book/chapters/07-neural-cache.html").as_uri())
    view.emulate_media(media="print")
    view.wait_for_timeout(200)
    colours = view.evaluate("""() => ["h1", "h2", "p", "figcaption", "pre", "td", ".admonition-title"].map(kind => {
        const style = getComputedStyle(document.querySelector(`article ${kind}`));
        return [kind, ...style.color.match(/[\\d.]+/g).slice(0, 3).map(Number)];
    })""")
    ground = view.evaluate("getComputedStyle(document.body).backgroundColor")
    view.close()
    assert all(max(parts) < 130 for _, *parts in colours), colours
    assert ground in ("rgb(255, 255, 255)", "rgba(0, 0, 0, 0)")


@pytest.mark.parametrize(
    "name", [f"book/chapters/{page}" for page in ("02-vanilla-rnn", "03-lstm", "09-the-return-of-the-state")]
)
def test_no_sheet_is_half_empty(browser, site, tmp_path, name):
    """Sheets are filled to three quarters on average; one before a figure may be less so."""
    printed, _ = one_page(browser, site, "light", name, tmp_path)
    used = []
    for page in printed.pages[:-1]:
        heights = []

        def note(text, cm, tm, font, size, heights=heights):
            if text.strip():
                heights.append(cm[3] * tm[5] + cm[5] if cm[3] else tm[5])

        page.extract_text(visitor_text=note)
        used.append((max(heights) - min(heights)) / float(page.mediabox.height) if heights else 0)
    assert sum(used) / len(used) > 0.74 and sorted(used)[2] > 0.5, used
