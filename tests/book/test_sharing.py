"""What others see of the book: descriptions, cards of pages and chapters, the first page, the README's top."""

import re
from pathlib import Path

import cards
import published
import pytest
import sharing
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def metas(html: BeautifulSoup) -> dict[str, list[str]]:
    found = {}
    for meta in html.select("meta[name], meta[property]"):
        found.setdefault(meta.get("name") or meta["property"], []).append(meta["content"])
    return found


@pytest.mark.book
def test_a_page_has_a_description_and_a_card(page, site):
    found = metas(page.html)
    for name in ("description", "og:title", "og:description", "og:image", "og:type", "twitter:card", "viewport"):
        assert len(found.get(name, ())) == 1, name
    (said,) = found["description"]
    assert 25 <= len(said) <= sharing.LONGEST + 2 and not re.search(r"[{}\\$<>`]", said)
    assert found["og:description"] == [said]
    assert re.sub(r"\W", "", found["og:title"][0]) in re.sub(
        r"\W", "", page.html.title.get_text() + page.article.h1.get_text()
    )
    (image,) = found["og:image"]
    assert image.startswith("https://") or (page.path.parent / image).resolve() == site / "_static" / "card.png"


@pytest.mark.book
def test_no_two_pages_have_one_description(pages):
    said = [metas(page.html)["description"][0] for page in pages]
    assert len(set(said)) == len(said)


@pytest.mark.book
def test_the_first_page_says_what_it_is_and_leads_on(site):
    html = BeautifulSoup((site / "index.html").read_text(encoding="utf-8"), "html.parser")
    assert html.html["lang"] == "en" and html.title.get_text() == "Recurrent Language Models, by Hand and at Scale"
    found = metas(html)
    assert "Jupyter book" in found["description"][0] and found["og:image"] == ["_static/card.png"]
    targets = {html.select_one("link[rel=canonical]")["href"], html.a["href"]}
    targets.add(html.select_one("meta[http-equiv=refresh]")["content"].split("url=")[1])
    assert len(targets) == 1 and (site / targets.pop()).is_file()


def test_a_published_card_has_whole_addresses(monkeypatch):
    monkeypatch.setenv("LMTUTOR_REPOSITORY", "owner/name")
    found = metas(BeautifulSoup(sharing.tags('T "q"', "A <b> & c", "book/x.html", "../"), "html.parser"))
    assert found["og:image"] == ["https://owner.github.io/name/_static/card.png"]
    assert found["og:url"] == ["https://owner.github.io/name/book/x.html"]
    assert found["og:title"] == ['T "q"'] and found["description"] == ["A <b> & c"]


def test_the_card_is_a_picture_of_the_usual_size():
    data = (ROOT / "book" / "assets" / "card.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) < 300_000
    assert [int.from_bytes(data[at : at + 4], "big") for at in (16, 20)] == [1200, 630]


@pytest.mark.book
def test_every_chapter_has_a_card_with_its_picture(pages):
    front = next(page for page in pages if page.name == "book/intro")
    found = front.article.select(".cards a")
    assert [(front.path.parent / link["href"]).resolve() for link in found] == [
        page.path.resolve() for page in pages if page.name in cards.chapters()
    ]
    for link, name in zip(found, cards.chapters(), strict=True):
        title, question = cards.title_and_question(name)
        assert title in link.b.get_text() and link.select_one("a > span").get_text() == question
        assert link.svg.find(["path", "rect", "circle"])


@pytest.mark.book
def test_the_three_ways_in_lead_somewhere(pages):
    front = next(page for page in pages if page.name == "book/intro")
    ways = front.article.select(".ways li")
    assert [way.strong.get_text() for way in ways] == ["Read.", "Try.", "Teach."]
    assert all(way.a for way in ways)


def test_the_readme_begins_with_what_a_stranger_wants():
    parts = [
        "<picture>",
        "A Jupyter book",
        "<!-- published:",
        "1. **",
        "```sh\nmake book",
        "minutes",
        "| `make lab`",
        "## What you can",
    ]
    places = [README.index(part) for part in parts]
    assert places == sorted(places)
    for picture in re.findall(r'(?:src|srcset)="([^"]+)"', README[: places[1]]):
        assert (ROOT / picture).is_file()
    lines = re.findall(r"^\d+\. \*\*(.+?)\.?\*\* (.+)$", README, flags=re.M)
    wanted = [cards.title_and_question(name) for name in cards.chapters()]
    assert [(title, question.replace("*", "")) for title, question in lines] == wanted


def test_the_workflow_fills_the_readmes_links(pages):
    filled = published.fill(README, "https://o.github.io/n")
    links = re.findall(r"\]\((https://o\.github\.io/n/[^)]*)\)", filled)
    names = [link.removeprefix("https://o.github.io/n/") for link in links]
    assert names == ["book/intro.html", "book.pdf", "book/playground.html"]
    assert {name.removesuffix(".html") for name in names if name.endswith(".html")} <= {page.name for page in pages}
    assert published.fill(filled, "https://o.github.io/n") == filled
    workflow = (ROOT / ".github" / "workflows" / "book.yml").read_text(encoding="utf-8")
    assert "book/_ext/published.py" in workflow and "cp _build/book.pdf _build/html/" in workflow
