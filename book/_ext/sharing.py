"""What other programs show of a page: its description, and a card with a picture where somebody shares its address.

The description is the page's question or its first sentences; the picture (`book/assets/card.png`) is that of the front
page. Sphinx leads from `index.html` to the front page without a word: here that page has a title and a link.
"""

import html
import re
from pathlib import Path

import yaml
from docutils import nodes
from notebooks import ROOT, site

LONGEST = 200  # characters of a description
CARD = "_static/card.png"
INDEX = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
{tags}<link rel="canonical" href="{front}">
<meta http-equiv="refresh" content="0; url={front}">
</head>
<body>
<p><a href="{front}">{title}</a></p>
</body>
</html>
"""


def abstract() -> str:
    """What the book is, from `CITATION.cff`."""
    return " ".join(yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["abstract"].split())


def description(doctree: nodes.document) -> str:
    """The question of a page and what follows it, or its first sentences."""
    text = ""
    for paragraph in doctree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.section | nodes.container):
            text = f"{text} {' '.join(paragraph.astext().split())}".strip()
        if len(text) >= LONGEST / 2:
            break
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rsplit(' ', 1)[0].rstrip('.,;:')} …"


def tags(title: str, said: str, address: str, root: str) -> str:
    """The elements of a page's head; `root` is where the book lies, seen from the page, if it has no address."""
    base = f"{site()}/" if site() else root
    facts = {
        "og:type": "article", "og:title": title, "og:description": said, "og:image": f"{base}{CARD}",
        "og:image:alt": "Two cells of a network that remember an open bracket and an open quotation.",
        **({"og:url": f"{base}{address}"} if site() else {}),
    }  # fmt: skip
    return "".join(
        f'<meta {kind}="{name}" content="{html.escape(value)}">\n'
        for kind, name, value in [
            ("name", "description", said),
            *(("property", name, value) for name, value in facts.items()),
            ("name", "twitter:card", "summary_large_image"),
        ]
    )


def introduce(app, pagename, templatename, context, doctree) -> None:
    """Put the description and the card into the head of a page."""
    front = pagename == app.config.root_doc
    said = abstract() if front or doctree is None else description(doctree)
    title = app.config.html_title if front else re.sub(r"<[^>]*>", "", context.get("title", ""))
    root = "../" * pagename.count("/")
    context["metatags"] = context.get("metatags", "") + tags(html.unescape(title), said, f"{pagename}.html", root)


def write_index(app, exception) -> None:
    """A first page with a title, a description and a link, which leads to the front page."""
    if exception is None and app.builder.name == "html":
        title, front = app.config.html_title, f"{app.config.root_doc}.html"
        page = INDEX.format(title=html.escape(title), tags=tags(title, abstract(), front, ""), front=front)
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app):
    app.connect("html-page-context", introduce)
    app.connect("build-finished", write_index, priority=100)  # before sphinx-external-toc writes its own
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
