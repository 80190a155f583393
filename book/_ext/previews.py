"""What a link leads to, beside the link: a term's definition, an equation, a figure, a cited work.

What lies on the page itself, `previews.js` takes from there; a cited work is told by its link. The rest a page carries
in a `<template>`, which the browser does not draw. So it works from the file system, with formulas.
"""

import html
import posixpath
import re
from itertools import count
from urllib.parse import unquote

from docutils import nodes
from figures import draw_in
from mathml import formula_of

LINK = re.compile(r'<a [^>]*href="([^"#:]+\.html)#([^"]+)"')


def places(app, page: str) -> dict[str, nodes.Element]:
    """Return what can be shown of a page by its anchor: definitions, formulas, figures."""
    pages = app.__dict__.setdefault("_previews", {})
    if page not in pages:
        pages[page] = known = {}
        tree = app.env.get_and_resolve_doctree(page, app.builder)
        for item in tree.findall(nodes.definition_list_item):
            known |= {anchor: item for name in item.findall(nodes.term) for anchor in name["ids"]}
        for place in tree.findall(lambda node: isinstance(node, (nodes.math_block, nodes.figure))):
            known |= dict.fromkeys([*place["ids"], *place.get("lines", ())], place)
    return pages[page]


def preview(app, page: str, anchor: str) -> str:
    """Return the HTML of what stands at an anchor of another page, or nothing."""
    place = places(app, page).get(anchor) if page in app.env.found_docs else None
    if isinstance(place, nodes.math_block):
        numbers = app.env.toc_fignumbers[page]["displaymath"]
        shown = formula_of(place, lambda line: ".".join(map(str, numbers[line])))
        shown = re.sub(' id="[^"]*"', "", shown)
        return f'<div class="formula">{shown}</div>'
    if isinstance(place, nodes.figure):
        drawn = "".join(draw_in(raw.astext(), count(), "preview-") for raw in place.findall(nodes.raw))
        said = "".join(caption.astext() for caption in place.findall(nodes.caption))
        return f"{drawn}<p>{html.escape(said)}</p>"
    if place is None:
        return ""
    shown = nodes.container("", *[child.deepcopy() for child in place.children[-1].children])
    for link in list(shown.findall(nodes.reference)):
        link.parent.replace(link, nodes.inline("", link.astext()))
    return app.builder.render_partial(shown)["fragment"]


def carry_previews(app, pagename, templatename, context, doctree) -> None:
    """Add what the links of a page lead to on other pages to its end."""
    if doctree is None or app.builder.name != "html":
        return
    kept = []
    for path, anchor in dict.fromkeys(LINK.findall(context["body"])):
        page = posixpath.normpath(posixpath.join(posixpath.dirname(pagename), path)).removesuffix(".html")
        if shown := preview(app, page, unquote(anchor)):
            kept.append(f'<div data-of="{path}#{anchor}">{shown}</div>')
    if kept:
        context["body"] += f'<template id="previews">{"".join(kept)}</template>'
    app.add_js_file("previews.js", loading_method="defer")


def setup(app):
    app.connect("html-page-context", carry_previews, priority=700)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
