"""Pages that are complete without a network: no script, style or font from another host.

Jupyter Book always loads Thebe (it runs a page's cells on a server, and its script fails on every page when there is
none). Its files are left out of each page, and so is whatever else names another host.
"""

from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
UNWANTED = ("thebe", "mathjax")


def filename(asset) -> str:
    """Return the address of a script or style, whichever way Sphinx or an extension put it into the page."""
    return str(getattr(asset, "filename", asset) or "")


def drop_external(app, pagename, templatename, context, doctree) -> None:
    """Keep only what the page needs and what lies beside it."""
    for kind in ("script_files", "css_files"):
        kept = []
        for asset in context.get(kind, []):
            name = filename(asset)
            if any(word in name.lower() for word in UNWANTED):
                continue
            if name.startswith(("http:", "https:", "//")):
                LOGGER.warning("%s asks for %s: pages must need no network", pagename, name)
                continue
            if any(word in str(getattr(asset, "attributes", {}).get("body", "")).lower() for word in UNWANTED):
                continue
            kept.append(asset)
        context[kind] = kept


def mend_search(app, pagename, templatename, context, doctree) -> None:
    """Load on the search page alone what makes it work without a server, and without errors."""
    if pagename == "search":
        app.add_js_file("search.js", priority=900)


def setup(app):
    app.connect("html-page-context", mend_search)
    app.connect("html-page-context", drop_external, priority=990)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
