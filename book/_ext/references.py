"""What a page refers to by its number is a link: an equation, a figure, a table, a chapter.

"(2.7)", "Fig. 4.3", "Table 6.1" and "chapter 06" may be typed: in the text, in a docstring, in the comment of a cell.
A number that nothing has is a warning, which stops the strict build.
"""

import html
import re

from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
PIECE = re.compile(
    r"(?P<raw><!--.*?-->|<(?P<kind>script|style)\b.*?</(?P=kind)>)"  # not HTML within
    r"|<(?P<end>/?)(?P<name>\w+)(?P<rest>[^>]*)>|[^<]+|<",
    flags=re.S,
)
NO_PROSE = {
    "a", "button", "code", "h1", "h2", "h3", "h4", "math", "option", "pre", "script", "style", "summary", "svg",
    "template", "textarea",
}  # fmt: skip
NO_REFERENCE = re.compile(r'class="[^"]*dataframe|id="T_|class="caption-number')  # results; the number itself
COMMENT = re.compile(r' class="c[1mh]?"')
VOID = {"img", "br", "hr", "input", "source", "link", "meta", "wbr", "col"}
CHAPTER = re.compile(r"\b[Cc]hapters?\s\d\d(?:(?:,\s|\s(?:and|or|to)\s|–)\d\d)*")
NUMBERED = re.compile(r"\((?P<equation>[1-9]\.\d+)\)|\b(?P<kind>Figure|Fig\.|Table)(?:\s|&nbsp;)(?P<number>\d+\.\d+)")
KINDS = {"displaymath": "equation", "figure": "figure", "table": "table"}


def targets(env) -> dict[tuple[str, str], tuple[str, str]]:
    """Return the page and the anchor of what has a number, such as ("equation", "2.7") or ("chapter", "06")."""
    known = {}
    for page, kinds in env.toc_fignumbers.items():
        for kind, numbers in kinds.items():
            for anchor, number in numbers.items():
                known[KINDS.get(kind, kind), ".".join(map(str, number))] = page, anchor
    for page, numbers in env.toc_secnumbers.items():
        if numbers.get(""):
            known["chapter", f"{numbers[''][0]:02d}"] = page, ""
    return known


def link_numbers(text: str, link, unknown) -> str:
    """Return HTML whose numbers are links.

    Parameters
    ----------
    link
        (kind, number) -> address, or None where nothing has that number.
    unknown
        Called with what has no target.
    """

    def linked(kind: str, number: str, shown: str) -> str:
        address = link(kind, number)
        if address is None:
            unknown(shown)
        return shown if not address else f'<a class="reference internal" href="{html.escape(address)}">{shown}</a>'

    def chapters(match: re.Match) -> str:
        first, *others = re.split(r"(?<=\d\d)(?=\D)", match[0])
        shown = [linked("chapter", first[-2:], first)]
        return "".join(shown + [other[:-2] + linked("chapter", other[-2:], other[-2:]) for other in others])

    def numbered(match: re.Match) -> str:
        if match["equation"]:
            return linked("equation", match["equation"], match[0])
        return linked("table" if match["kind"] == "Table" else "figure", match["number"], match[0])

    out, inside = [], []
    for piece in PIECE.finditer(text):
        if piece["raw"]:
            out.append(piece[0])
            continue
        if name := piece["name"]:
            if piece["end"]:
                while inside and inside.pop()[0] != name:
                    pass
            elif name not in VOID and not piece["rest"].endswith("/"):
                inside.append((name, piece["rest"]))
            out.append(piece[0])
            continue
        within = {"script" if NO_REFERENCE.search(rest) else tag for tag, rest in inside}
        comment = "pre" in within and COMMENT.match(inside[-1][1])
        prose = not within & NO_PROSE
        out.append(NUMBERED.sub(numbered, CHAPTER.sub(chapters, piece[0])) if comment or prose else piece[0])
    return "".join(out)


def link_page(app, pagename, templatename, context, doctree) -> None:
    """Turn the numbers of a page into links."""
    if doctree is None or app.builder.format != "html":
        return
    if not hasattr(app, "_targets"):
        app._targets = targets(app.env)

    def link(kind: str, number: str) -> str | None:
        if (kind, number) not in app._targets:
            return None
        page, anchor = app._targets[kind, number]
        if page == pagename:
            return f"#{anchor}" if anchor else ""  # no link from a chapter to itself
        return context["pathto"](page) + (f"#{anchor}" if anchor else "")

    def unknown(shown: str) -> None:
        LOGGER.warning("%s refers to %s, which nothing has", pagename, shown, type="references")

    context["body"] = link_numbers(context["body"], link, unknown)


def setup(app):
    app.connect("html-page-context", link_page, priority=600)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
