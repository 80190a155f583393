"""Mend what the theme and the extensions write that a screen reader or the checker of the W3C minds.

Each rule is a pattern with what stands in its place. They run over the finished pages; a second run changes nothing.
"""

import re
from pathlib import Path

RULES = [
    # pandas styles each table from within; the book has one style for all
    (r"<style scoped>.*?</style>", ""),
    # a table with formats is a table like the others
    (r'<table id="(T_\w+)">', r'<table id="\1" class="dataframe">'),
    # a corner of a table is no heading
    (r"<th>\s*</th>|<th class=\"head\"><p>\s*</p></th>", "<td></td>"),
    (r"<th class=\"(?:index_name |blank )[^\"]*\"\s*>(?:&nbsp;|\s)*</th>", "<td></td>"),
    # sphinx-exercise gives every exercise one and the same anchor
    (r"<section id=\"(exercise|solution)-content\">", r'<section class="\1-content">'),
    # Sphinx closes a paragraph that a list has closed
    (r"</ul>\s*</p>", "</ul>"),
    # docutils: entries of a bibliography are items of a list
    (r"role=\"doc-biblioentry\"", 'role="listitem"'),
    # the theme: the arrow that opens a part of the contents has no name, the sidebar is no landmark
    (r"<summary>(?=<span class=\"toctree-toggle\")", '<summary aria-label="pages of this part">'),
    (r"<div (?=class=\"bd-sidebar-primary|id=\"pst-primary-sidebar\")", '<div role="complementary" aria-label="Book" '),
]
COMPILED = [(re.compile(pattern, flags=re.S), instead) for pattern, instead in RULES]


def tidy(text: str) -> str:
    """Return a page with every rule applied."""
    for pattern, instead in COMPILED:
        text = pattern.sub(instead, text)
    return text


def tidy_pages(app, exception) -> None:
    """Rewrite the finished pages in place."""
    if exception is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            better = tidy(text)
            if better != text:
                page.write_text(better, encoding="utf-8")


def setup(app):
    app.connect("build-finished", tidy_pages)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
