"""Mathematics as MathML, converted when the book is built.

Every current browser draws MathML by itself, so that a page needs no script, and a formula that cannot be converted
is a warning, which stops the strict build, instead of a red word in the reader's page. The conversion is
`math-core`'s; the font, STIX Two Math, is the one that the package `ziamath` carries, cut down to the characters that
the book uses and copied beside the pages: without a mathematical font, hats and brackets have the wrong size.

A formula has its number behind it, `$$ (label)`; each line of several has its own with `\\label{label}` at its end.
"""

import html
import re
from collections.abc import Callable, Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from docutils import nodes
from fontTools import subset
from math_core import LatexError, LatexToMathML
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

LOGGER = logging.getLogger(__name__)
FONT_FILE = "STIXTwoMath.woff"
MATHEMATICAL = ("ssty", "dtls", "flac", "ccmp", "mark", "mkmk", "kern")
# ASCII, and the italics that a browser takes for a lone Latin or Greek letter; all else is read from the pages.
FONT_ALWAYS = ((0x20, 0x7E), (0x210E, 0x210E), (0x1D434, 0x1D467), (0x1D6E2, 0x1D71B))
# Environments that number their lines become those that do not: Sphinx does the numbering.
UNNUMBERED = {"align": "aligned", "split": "aligned", "gather": "gathered", "equation": ""}
NUMBERED = re.compile(r"\\(begin|end)\{(align|split|gather|equation)\*?\}")
INNER = re.compile(r"\\begin\{(\w+\*?)\}.*\\end\{\1\}", flags=re.S)
LABEL = re.compile(r"\\label\{([\w:-]+)\}")
MARK = "@number@"  # stands in a formula where a line has its label
RELATIONS = set("=≈≤≥←∝")
LONG = 30  # characters: a shorter formula of one clause fits on every screen
WORDS = re.compile("(?<=<mtext>)[^<@]+(?=</mtext></mtd>)")  # beside a line; on a narrow screen they may wrap
ENTITY = re.compile(r"&(?!lt;|gt;|amp;|quot;)\w+;")


@cache
def converter() -> LatexToMathML:
    """Return the one converter, which knows no state but its macros."""
    return LatexToMathML(annotation=False, fancy_error=False)


def prepare(latex: str) -> str:
    """Return LaTeX as the converter wants it.

    Several lines, or an `&`, without an environment are aligned, as the MathJax renderer of Sphinx does it.
    """

    def unnumber(match: re.Match) -> str:
        name = UNNUMBERED[match[2]]
        return rf"\{match[1]}{{{name}}}" if name else ""

    latex = NUMBERED.sub(unnumber, latex.strip())
    if re.search(r"\\\\|(?<!\\)&", INNER.sub("", latex)):
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    return latex


def to_mathml(latex: str, display: bool) -> str:
    """Convert LaTeX (without its dollar signs) to a `<math>` element.

    Raises
    ------
    math_core.LatexError
        If the formula uses a command that the converter does not know, or does not parse.
    """
    mathml = converter().convert_with_local_state(prepare(latex), displaystyle=display)
    mathml = ENTITY.sub(lambda entity: html.unescape(entity[0]), mathml)
    return WORDS.sub(lambda words: f"<span>{words[0]}</span>".replace("\xa0", " "), mathml)


def render(node: nodes.math | nodes.math_block, display: bool) -> str:
    """Return the MathML of a node, or its source with a warning that fails the strict build."""
    latex = LABEL.sub(rf"\\text{{{MARK}}}", node.astext())
    try:
        return to_mathml(latex, display)
    except LatexError as error:
        LOGGER.warning("formula %r: %s", latex, error, location=node, type="mathml", subtype="latex")
        return f"<code>{html.escape(latex)}</code>"


class equation_line(nodes.Element):
    """The number of one line of a formula: Sphinx counts it, the formula shows it."""


class LabelLines(SphinxTransform):
    """Let Sphinx count the lines of a formula that have a label."""

    default_priority = 300

    def apply(self) -> None:
        for block in list(self.document.findall(nodes.math_block)):
            block["lines"] = []
            for label in LABEL.findall(block.astext()):
                self.env.get_domain("math").note_equation(self.env.docname, label, location=block)
                line = equation_line(ids=[nodes.make_id(f"equation-{label}")], number=label)
                block.parent.insert(block.parent.index(block), line)
                block["lines"] += line["ids"]


def number_lines(mathml: str, numbers: Iterable[tuple[str, str]]) -> str:
    """Return a formula of several lines with a number at the end of each line that is marked.

    A column on the left as wide as that of the numbers keeps the formula in the middle.

    Parameters
    ----------
    numbers
        Anchor and number of each marked line, in order.
    """
    root, numbers = ElementTree.fromstring(mathml), iter(numbers)
    table = root.find("mtable")
    columns = max(len(row) for row in table)
    for row in table:
        cells = [*row, *(ElementTree.Element("mtd") for _ in range(columns - len(row)))]
        end = ElementTree.Element("mtd", {"class": "eqno"})
        for cell in row.iter():
            for mark in [child for child in cell if child.tag == "mtext" and child.text == MARK]:
                cell.remove(mark)
                anchor, number = next(numbers)
                row.set("id", anchor)
                ElementTree.SubElement(end, "mtext").text = f"({number})"  # within <math> no link is allowed
        row[:] = [ElementTree.Element("mtd"), *cells, end]
    table.set("class", "numbered")
    return ElementTree.tostring(root, encoding="unicode")


def apart(mathml: str) -> str:
    """Return a formula of one line as several, which may stand below one another on a narrow screen.

    It parts where it has wide room, into clauses; and each clause, if it is long, before its relations.
    """
    root = ElementTree.fromstring(mathml)
    clauses = [[[]]]
    for child in root:
        if child.tag == "mo" and child.text in RELATIONS and clauses[-1][-1]:
            child.set("form", "infix")
            clauses[-1].append([])
        clauses[-1][-1].append(child)
        if child.tag == "mspace" and child.get("width") == "2em":
            clauses.append([[]])
    if sum(map(len, clauses)) == 1 or len(clauses) == 1 and len("".join(root.itertext())) < LONG:
        return mathml
    formula = ElementTree.Element("div")
    for clause in clauses:
        line = ElementTree.SubElement(formula, "span")
        for part in clause:
            ElementTree.SubElement(line, "math", root.attrib).extend(part)
    return "".join(ElementTree.tostring(line, encoding="unicode") for line in formula)


def formula_of(node: nodes.math_block, number_of: Callable[[str], str]) -> str:
    """Return the MathML of a displayed formula, its lines numbered where they have labels."""
    formula, anchors = render(node, display=True), node.get("lines")
    return number_lines(formula, [(anchor, number_of(anchor)) for anchor in anchors]) if anchors else apart(formula)


def visit_inline(self, node: nodes.math) -> None:
    self.body.append(f'<span class="math notranslate">{render(node, display=False)}</span>')
    raise nodes.SkipNode


def visit_display(self, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math notranslate"))
    if node["number"]:
        number, anchor = get_node_equation_number(self, node), node["ids"][0]
        self.body.append(f'<a class="eqno" href="#{anchor}">({number})</a>')
    formula = formula_of(node, lambda anchor: get_node_equation_number(self, equation_line(ids=[anchor])))
    # A wide formula scrolls in its own box; the keyboard must reach that box.
    self.body.append(f'<div class="formula" tabindex="0">{formula}</div></div>\n')
    raise nodes.SkipNode


def skip(self, node: equation_line) -> None:
    raise nodes.SkipNode


def characters(pages: Iterable[Path]) -> set[int]:
    """Return the code points that the formulas of some HTML pages use."""
    used = {code for first, last in FONT_ALWAYS for code in range(first, last + 1)}
    for page in pages:
        for formula in re.findall(r"<math.*?</math>", page.read_text(encoding="utf-8"), flags=re.S):
            used.update(map(ord, html.unescape(re.sub(r"<[^>]*>", "", formula))))
            if "<msqrt" in formula or "<mroot" in formula:
                used.add(ord("√"))  # a browser takes the sign of an element `msqrt` from the font; no text holds it
    return used


def write_font(source: Path, target: Path, codes: set[int], features: Iterable[str] = MATHEMATICAL) -> None:
    """Write a font, cut down to some characters and, of a mathematical one, their larger and smaller shapes."""
    options = subset.Options(flavor="woff", layout_features=features, hinting=False, name_IDs=[0, 1, 2, 13, 14])
    options.drop_tables += ["FFTM"]
    font = subset.load_font(str(source), options)
    cut = subset.Subsetter(options)
    cut.populate(unicodes=codes)
    cut.subset(font)
    target.parent.mkdir(parents=True, exist_ok=True)
    subset.save_font(font, str(target), options)
    font.close()


def place_font(app, exception) -> None:
    """Put the font beside the finished pages."""
    if exception is None and app.builder.format == "html":
        out = Path(app.outdir)
        source = Path(find_spec("ziamath").origin).parent / "fonts" / "STIXTwoMath-Regular.ttf"
        write_font(source, out / "_static" / "fonts" / FONT_FILE, characters(out.rglob("*.html")))


def setup(app):
    app.add_html_math_renderer("mathml", inline_renderers=(visit_inline, None), block_renderers=(visit_display, None))
    app.add_enumerable_node(equation_line, "displaymath", lambda line: line["number"], html=(skip, None))
    app.add_transform(LabelLines)
    app.connect("build-finished", place_font)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
