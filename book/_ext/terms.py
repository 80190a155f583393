"""The terms of the glossary in the pages: a definition where the pointer rests, and an entry in the index.

A page carries the definitions of the terms that it links to, in a `<template>` that the browser does not draw;
`terms.js` shows one beside its link. So it works from the file system, with formulas.
"""

import re
from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

PAGE = "book/appendix/glossary"
BLOCK = re.compile(r"^```\{glossary\}\n(.*?)^```$", flags=re.M | re.S)
LINK = re.compile(r'href="[^"#]*glossary\.html#(term-[^"]+)"')


@cache
def spelling(source: Path) -> dict[str, str]:
    """Return how the glossary writes each of its terms, by the term in lower case."""
    lines = "\n".join(BLOCK.findall(source.read_text(encoding="utf-8"))).splitlines()
    return {line.strip().casefold(): line.strip() for line in lines if line.strip() and not line.startswith(" ")}


class IndexTerms(SphinxTransform):
    """Put the first link of a page to each term into the index."""

    default_priority = 400  # before the domains collect the entries

    def apply(self) -> None:
        if self.env.docname == PAGE:  # Sphinx does this for the glossary itself
            return
        known, seen = spelling(Path(self.env.srcdir) / f"{PAGE}.md"), set()
        for link in list(self.document.findall(addnodes.pending_xref)):
            term = known.get(" ".join(link["reftarget"].split()).casefold()) if link["reftype"] == "term" else None
            if term is None or term in seen:
                continue
            seen.add(term)
            anchor = f"index-{nodes.make_id(term)}"
            entry = addnodes.index(entries=[("single", term, anchor, "", None)])
            link.parent.insert(link.parent.index(link), [entry, nodes.target("", "", ids=[anchor])])


def definitions(app) -> dict[str, str]:
    """Return the HTML of each definition by its anchor, without the links within."""
    if not hasattr(app, "_definitions"):
        app._definitions = {}
        for item in app.env.get_and_resolve_doctree(PAGE, app.builder).findall(nodes.definition_list_item):
            shown = nodes.container("", *[child.deepcopy() for child in item.children[-1].children])
            for link in list(shown.findall(nodes.reference)):
                link.parent.replace(link, nodes.inline("", link.astext()))
            text = app.builder.render_partial(shown)["fragment"]
            app._definitions |= {anchor: text for term in item.findall(nodes.term) for anchor in term["ids"]}
    return app._definitions


def carry_definitions(app, pagename, templatename, context, doctree) -> None:
    """Add the definitions that a page asks for to its end."""
    if doctree is None or pagename == PAGE or app.builder.name != "html":
        return
    asked = dict.fromkeys(LINK.findall(context.get("body", "")))
    if asked:
        known = definitions(app)
        kept = "".join(f'<div data-term="{term}">{known[term]}</div>' for term in asked if term in known)
        context["body"] += f'<template id="definitions">{kept}</template>'
        app.add_js_file("terms.js", loading_method="defer")


def setup(app):
    app.add_transform(IndexTerms)
    app.connect("html-page-context", carry_definitions)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
