"""A search that finds sections and says in which words, from the file system too.

Sphinx's own fetches the pages that it quotes, which a browser allows no file to do. Here the text of every section lies
in one script, which the search page alone loads.
"""

import html
import json
import re
from pathlib import Path

PLACE = re.compile(
    r'<section [^>]*?id="([^"]+)"[^>]*>\s*(?:<span id="[^"]*"></span>\s*)*<h\d>(.*?)</h\d>|'
    r'<dt [^>]*id="([^"]+)">(.*?)</dt>',
    flags=re.S,
)
BLOCK = re.compile(r"</?(?:p|div|li|ul|ol|dl|dt|dd|h\d|t[drh]|table|section|pre|figure|figcaption|summary|br)\b[^>]*>")
NO_TEXT = re.compile(r'<(script|style|template|svg)\b.*?</\1>|<a class="headerlink".*?</a>', flags=re.S)


def plain(part: str) -> str:
    """Return the words of HTML."""
    text = re.sub(r"<[^>]*>", "", BLOCK.sub(" ", NO_TEXT.sub(" ", part)))
    return " ".join(html.unescape(text).split())


def sections(body: str) -> list[tuple[str, str, str]]:
    """Return anchor, title and words of each section of a page, and of each term or name that it explains."""
    found, starts = [], list(PLACE.finditer(body))
    for here, after in zip(starts, [*starts[1:], None], strict=False):
        title = here[3].rsplit(".", 1)[-1] if here[3] and here[3].startswith("lmtutor") else plain(here[2] or here[4])
        found.append((here[1] or here[3], title, plain(body[here.end() : after.start() if after else None])))
    for i in range(len(found) - 2, -1, -1):  # of several terms with one explanation, each has it
        if starts[i][3] and not found[i][2]:
            found[i] = (*found[i][:2], found[i + 1][2])
    return found


def collect(app, pagename, templatename, context, doctree) -> None:
    """Keep the sections of a page, and give the search page its script."""
    if doctree is not None and app.builder.name == "html":
        reference = pagename.startswith("book/appendix/api")
        title = plain(context["title"])
        app.__dict__.setdefault("_sections", {})[pagename] = [title, int(reference), sections(context["body"])]
    elif pagename == "search":
        app.add_js_file("sections.js", priority=900)
        app.add_js_file("search.js", priority=901)


def write(app, exception) -> None:
    """Write the text of all sections."""
    if exception is None and app.builder.name == "html":
        pages = sorted(app._sections.items(), key=lambda page: (page[1][1], "/chapters/" not in page[0], page[0]))
        data = json.dumps(pages, ensure_ascii=False, separators=(",", ":"))
        (Path(app.outdir) / "_static" / "sections.js").write_text(f"const bookPages = {data};\n", encoding="utf-8")


def setup(app):
    app.connect("html-page-context", collect, priority=650)
    app.connect("build-finished", write)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
