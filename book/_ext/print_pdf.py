"""Print the built book as one PDF with the Chromium that is installed: `make pdf`.

The articles of all pages are put into one document in the order of the table of contents, each on a new sheet; links
between pages become links within it. Of a control with several states the first is printed. Formulas are the browser's
own, so that no other renderer is needed.
"""

import html
import os
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
NOT_ON_PAPER = ".headerlink, script, template, button, .page-facts, .lm-control, .toctree-wrapper, style, svg.narrow"
FOOT = '<div style="font-size:8px;width:100%;text-align:center;color:#555"><span class="pageNumber"></span></div>'
LOOK = """
article { break-before: page; max-width: none; }
.bd-main, body { display: block; }
.cover { text-align: center; padding-top: 30vh; }
.cover h1 { font-size: 26pt; }
.bd-article figure, .bd-article img { break-inside: avoid; }
.contents { break-before: page; line-height: 1.7; }
"""


def chromium() -> str:
    """Return the browser's path; end with what to do where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        sys.exit("No Chromium here: install one (Debian: apt install chromium) or name it, CHROMIUM=/path/to/it.")
    return found


def listed() -> list[str]:
    """Return the names of the pages in reading order."""
    table = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    top = [entry for part in table["parts"] for entry in part["chapters"]]
    return [table["root"], *(page["file"] for entry in top for page in (entry, *entry.get("sections", ())))]


def anchor(name: str, fragment: str = "") -> str:
    return f"{name.replace('/', '-')}--{fragment}"


def first_state(article: Tag) -> None:
    """Leave of each control over several states the one that a reader sees first."""
    for explorer in article.select(".lm-explorer"):
        control = explorer.select_one("input[type=range], select")
        chosen = int(control["value"]) if control.name == "input" else 0
        if control.name == "select":
            chosen = next((i for i, o in enumerate(control.select("option")) if o.has_attr("selected")), 0)
        for number, state in enumerate(explorer.find_all(class_="lm-state", recursive=False)):
            if number != chosen:
                state.decompose()


def for_paper(name: str, site: Path, names: list[str]) -> Tag:
    """Return the article of a page, its links and anchors made for the one document."""
    page = site / f"{name}.html"
    article = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").find("article")
    first_state(article)
    for element in article.select(NOT_ON_PAPER):
        element.decompose()
    for element in article.select("details"):
        element["open"] = ""
    for element in article.select(":not(svg *)[id]"):  # the names in a drawing are unique already
        element["id"] = anchor(name, element["id"])
    for image in article.select("img[src]"):
        image["src"] = urljoin(page.as_uri(), image["src"])
        image["loading"] = "eager"
    for link in article.select("a[href]"):
        parts = urlsplit(link["href"])
        if parts.scheme:
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        inside = target.with_suffix("").relative_to(site.resolve()).as_posix() if target.is_file() else ""
        if inside in names and target.suffix == ".html":
            link["href"] = f"#{anchor(inside, unquote(parts.fragment))}"
        else:
            del link["href"]
    article["id"] = anchor(name)
    return article


def one_document(site: Path, names: list[str]) -> str:
    """Return the HTML of the whole book."""
    front = BeautifulSoup((site / f"{names[0]}.html").read_text(encoding="utf-8"), "html.parser")
    here = (site / f"{names[0]}.html").as_uri()
    styles = [urljoin(here, link["href"]) for link in front.select("link[rel=stylesheet]")]
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    articles = [for_paper(name, site, names) for name in names]
    contents = "".join(
        f'<li><a href="#{anchor(name)}">{html.escape(article.find("h1").get_text().strip())}</a></li>'
        for name, article in zip(names, articles, strict=True)
    )
    return (
        '<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8">'
        f"<title>{html.escape(config['title'])}</title>"
        + "".join(f'<link rel="stylesheet" href="{style}">' for style in styles)
        + f"<style>{LOOK}</style></head><body>"
        f'<div class="cover"><p class="cover-title" style="font-size:26pt;font-weight:650">{config["title"]}</p>'
        f"<p>{config['author']}, {config['copyright']}</p></div>"
        f'<div class="contents bd-article"><p style="font-size:18pt">Contents</p><ol>{contents}</ol></div>'
        + "".join(map(str, articles))
        + "</body></html>"
    )


def print_book(site: Path, target: Path, names: list[str] | None = None) -> None:
    """Print some pages of the built book, or all, to a PDF with an outline."""
    from playwright.sync_api import sync_playwright

    source = site / "book.print.html"
    source.write_text(one_document(site, names or listed()), encoding="utf-8")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            page = browser.new_page(color_scheme="light")
            page.goto(source.as_uri(), wait_until="load", timeout=300_000)
            page.emulate_media(media="print")
            page.pdf(
                path=target, format="A4", outline=True, tagged=True, print_background=True,
                display_header_footer=True, header_template="<span></span>", footer_template=FOOT,
                margin={"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"},
            )  # fmt: skip
            browser.close()
    finally:
        source.unlink()


if __name__ == "__main__":
    print_book(ROOT / "_build" / "html", ROOT / "_build" / "book.pdf")
    print("The book on paper: _build/book.pdf")
