"""Mend what the theme and the extensions write that a screen reader, the checker of the W3C or a reader minds.

Each rule is a pattern with what stands in its place; tables of results are laid out afterwards. All of it runs over the
finished pages; a second run changes nothing.
"""

import re
from pathlib import Path

from bs4 import BeautifulSoup
from listings import may_go_on, may_wrap

FORMULA = r"<span class=\"math notranslate\"><math[^>]*>(?:(?!</math>).)*</math></span>"  # within a line
RULES = [
    # pandas styles each table from within; the book has one style for all
    (r"<style scoped>.*?</style>", ""),
    # a table with formats is a table like the others
    (r'<table id="(T_\w+)">', r'<table id="\1" class="dataframe">'),
    # an attribute of tables that HTML has never had
    (r" halign=\"\w+\"", ""),
    # a corner of a table is no heading
    (r"<th>\s*</th>|<th class=\"head\"><p>\s*</p></th>", "<td></td>"),
    (r"<th class=\"(?:index_name |blank )[^\"]*\"\s*>(?:&nbsp;|\s)*</th>", "<td></td>"),
    # a table of Markdown always has a head, be it empty
    (r"<thead>\s*<tr[^>]*>(?:\s*<td></td>)+\s*</tr>\s*</thead>\s*", ""),
    # sphinx-exercise gives every exercise one and the same anchor
    (r"<section id=\"(exercise|solution)-content\">", r'<section class="\1-content">'),
    # Sphinx closes a paragraph that a list has closed
    (r"</ul>\s*</p>", "</ul>"),
    # a stop after a formula belongs to it, and a bracket before it: no line begins or ends with one
    (
        rf"(?<!\"unbroken\">)(?<![(“])([(“]+{FORMULA}[.,;:?!)”]*|{FORMULA}[.,;:?!)”]+)",
        r'<span class="unbroken">\1</span>',
    ),
    # the index says which page a term is on, not how many pages came before
    (r"(<a href=\"book/chapters/(\d\d)-[^\"]*\">)\[\d+\](?=</a>)", r"\1chapter \2"),
    (r"(<a href=\"book/(?:appendix/)?([a-z-]+)\.html[^\"]*\">)\[\d+\](?=</a>)", r"\1\2"),
    # a line of code may go on in a new row
    (r"(?<=<span class=\"line\")([^>\n]*>)([^\n]*)", lambda line: line[1] + may_wrap(line[2])),
    # long code and long addresses
    (
        r"(?<=<span class=\"pre\">)[^<]{21,}(?=</span>)|(?<=\">)(?:https?|doi):[^<]{30,}(?=</a>)",
        lambda long: may_go_on(long[0]),
    ),
    # docutils: entries of a bibliography are items of a list
    (r"role=\"doc-biblioentry\"", 'role="listitem"'),
    # docutils, Sphinx and the theme each say how wide a page is
    (r"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" ?/>\n?", ""),
    # the theme: icons and search are ours; scripts may wait; the colours are known at once
    (r"<script src=\"[^\"]*(?:fontawesome|searchtools|language_data|searchindex)\.js[^>]*></script>\s*", ""),
    (r"<script src=(\"[^\"]*_static/(?!documentation_options)[^\"]*\")></script>", r"<script defer src=\1></script>"),
    (r"(<html [^>]*)data-theme=\"auto\"", r'\1data-theme="light"'),
    (
        r"localStorage\.getItem\(\"theme\"\) \|\| \"auto\";",
        'localStorage.getItem("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");',
    ),
    # what opens says itself what it does
    (r"<summary aria-label=\"Toggle hidden content\">", "<summary>"),
    # the theme: the arrow that opens a part of the contents has no name, the sidebar is no landmark
    (r"<summary>(?=<span class=\"toctree-toggle\")", '<summary aria-label="pages of this part">'),
    (r"<div (?=class=\"bd-sidebar-primary|id=\"pst-primary-sidebar\")", '<div role="complementary" aria-label="Book" '),
]
COMPILED = [(re.compile(pattern, flags=re.S), instead) for pattern, instead in RULES]
TABLE = re.compile(r'<table [^>]*class="dataframe"[^>]*>.*?</table>', flags=re.S)
WRITTEN = re.compile(r'<table class="table">.*?</table>', flags=re.S)  # of Markdown
SIDES = re.compile(r"<(/?)div\b")
PRINTED = re.compile(r'<div id="jb-print-docs-body"')
SOLUTION = re.compile(
    r'<div class="solution dropdown admonition"([^>]*)>\s*<p class="admonition-title">(.*?)</p>', flags=re.S
)
WHOLE = 14  # characters: an entry that is no longer is not broken, such as 1,024 in all
TEXT = re.compile(  # and before it what is no text, or stays as it is
    r"<(?P<kind>code|math|option|pre|script|style|svg|textarea|title)\b.*?</(?P=kind)>|<!--.*?-->"
    r"|<span class=\"unbroken\">[^<]*</span>|<[^>]*>|(?P<text>[^<]+)",
    flags=re.S,
)
# WikiText-2, AWD-LSTM, n-gram, 1e-6, Kneser–Ney, 3–11: hyphens beside figures, capitals and lone letters; options; ->
NAME = re.compile(
    r"(?<![\w-])(?=[\w.–-]*(?:\d[–-]|[–-](?:\d|[A-Z]|\w\b)|\b\w-))[\w.]+(?:[–-][\w.]+)+|(?<!\S)--?(?:[\w-]+|&gt;)"
)
PART = re.compile(r"[^\s/]*\w-[^\s/]*/?|--[\w-]+|[^\s/]+/(?=\w{3})")  # of a table's entry, between slashes
LONGEST = 28  # characters of a name that is never broken


def mark(cell, name: str) -> None:
    """Add a class to a cell."""
    cell["class"] = list(dict.fromkeys([*cell.get("class", []), name]))


def lay_out(match: re.Match) -> str:
    """Return a table of pandas with the names of its axes in the corner, and columns of words marked as such."""
    table = BeautifulSoup(match[0], "html.parser").table
    if not (table.thead and table.tbody):
        return match[0]
    heads = [row.find_all(["th", "td"]) for row in table.thead.find_all("tr")]
    corner = len(heads[0]) - len(rows[0].find_all("td")) if (rows := table.tbody.find_all("tr")) else 0
    if len(heads) == 2 and not any(cell.get_text(strip=True) for cell in heads[1][corner:]):
        for cell, name in zip(heads[0], heads[1][:corner], strict=False):
            if above := cell.get_text(strip=True):
                name.insert(0, BeautifulSoup(f"{above} →<br/>", "html.parser"))
                name.append(" ↓")
            cell.replace_with(name)
        table.thead.find_all("tr")[1].decompose()
    if table.thead.find(colspan=True):  # of groups of columns: which head is above which is not told by counting
        return keep(re.sub(r"\n\s*\n", "\n", str(table)), PART)
    columns = list(zip(*(row.find_all("td") for row in rows), strict=False))
    for head, cells in zip(table.thead.tr.find_all(["th", "td"])[corner:], columns, strict=False):
        said = [text for cell in cells if (text := cell.get_text(strip=True)) not in ("", "NaN", "–", "inf")]
        if said and sum(bool(re.search("[A-Za-z]{2}", text)) for text in said) >= len(said) / 2:
            for cell in (head, *cells):
                mark(cell, "words")
        if head.get_text(strip=True) == "command":
            for cell in (cell for cell in cells if not cell.code):
                words = (f'<span class="pre">{may_go_on(word)}</span>' for word in cell.decode_contents().split())
                said = f'<code class="literal">{" ".join(words)}</code>'
                cell.clear()
                cell.append(BeautifulSoup(said, "html.parser"))
    return re.sub(r"\n\s*\n", "\n", keep_whole(str(table)))


def keep(page: str, name: re.Pattern) -> str:
    """Return HTML in which no line ends within a name."""

    def whole(match: re.Match) -> str:
        after = "<wbr>" if match[0].endswith("/") else ""
        return f'<span class="unbroken">{match[0]}</span>{after}' if len(match[0]) <= LONGEST else match[0]

    return TEXT.sub(lambda piece: name.sub(whole, piece[0]) if piece["text"] else piece[0], page)


def keep_whole(table: str) -> str:
    """Return a table whose names and short entries are not broken, and whose long entries are marked."""
    table = BeautifulSoup(table, "html.parser").table
    for text in table.thead.find_all(string=re.compile(r"\w_\w")) if table.thead else ():
        text.replace_with(BeautifulSoup(text.replace("_", "_<wbr/>"), "html.parser"))
    for cell in table.tbody.find_all(["th", "td"]):
        text = cell.get_text(strip=True)
        if " " in text and len(text) > WHOLE:
            mark(cell, "long")
        elif " " in text:
            mark(cell, "whole")
    return keep(str(table), PART)


def end_of(page: str, start: int) -> int:
    """Return where the `<div>` that begins at `start` ends."""
    depth = 0
    for side in SIDES.finditer(page, start):
        depth += -1 if side[1] else 1
        if depth == 0:
            return page.index(">", side.start()) + 1
    raise ValueError("a <div> is not closed")


def unfold(page: str) -> str:
    """Return a page whose solutions open and close by themselves, and that has its table of contents once."""
    while found := PRINTED.search(page):
        page = page[: found.start()] + page[end_of(page, found.start()) :]
    while found := SOLUTION.search(page):
        end = end_of(page, found.start())
        title = re.sub(r"</?a\b[^>]*>", "", found[2])  # a click on it opens
        head = f'<details class="solution admonition"{found[1]}>\n<summary class="admonition-title">{title}</summary>'
        page = page[: found.start()] + head + page[found.end() : end - len("</div>")] + "</details>" + page[end:]
    return page


def tidy(text: str) -> str:
    """Return a page with every rule applied."""
    for pattern, instead in COMPILED:
        text = pattern.sub(instead, text)
    return keep(WRITTEN.sub(lambda table: keep_whole(table[0]), TABLE.sub(lay_out, unfold(text))), NAME)


def tidy_pages(app, exception) -> None:
    """Rewrite the finished pages in place."""
    if exception is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            better = tidy(text)
            if better != text:
                page.write_text(better, encoding="utf-8")


def setup(app):
    app.add_js_file("page.js", loading_method="defer")
    app.connect("build-finished", tidy_pages)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
