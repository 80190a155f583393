"""The terms of the glossary in the pages: an entry in the index for each page that uses one."""

import re
from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

PAGE = "book/appendix/glossary"
BLOCK = re.compile(r"^```\{glossary\}\n(.*?)^```$", flags=re.M | re.S)


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


def setup(app):
    app.add_transform(IndexTerms)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
