"""The book on paper: pages of one PDF with an outline, links that lead within it, and nothing left for a click."""

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
