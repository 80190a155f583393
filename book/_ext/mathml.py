"""Mathematics as MathML, converted when the book is built.

Every current browser draws MathML by itself, so that a page needs no script, and a formula that cannot be converted
is a warning, which stops the strict build, instead of a red word in the reader's page. The conversion is
`math-core`'s; the font, STIX Two Math, is the one that the package `ziamath` carries, cut down to the characters that
the book uses and copied beside the pages: without a mathematical font, hats and brackets have the wrong size.
"""

import html
import re
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from fontTools import subset
from math_core import LatexError, LatexToMathML
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

LOGGER = logging.getLogger(__name__)
FONT_FILE = "STIXTwoMath.woff"
# ASCII, and the italics that a browser takes for a lone Latin or Greek letter; all else is read from the pages.
FONT_ALWAYS = ((0x20, 0x7E), (0x210E, 0x210E), (0x1D434, 0x1D467), (0x1D6E2, 0x1D71B))
# Environments that number their lines become those that do not: Sphinx does the numbering.
UNNUMBERED = {"align": "aligned", "split": "aligned", "gather": "gathered", "equation": ""}
NUMBERED = re.compile(r"\\(begin|end)\{(align|split|gather|equation)\*?\}")
INNER = re.compile(r"\\begin\{(\w+\*?)\}.*\\end\{\1\}", flags=re.S)
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
    return ENTITY.sub(lambda entity: html.unescape(entity[0]), mathml)


def render(node: nodes.math | nodes.math_block, display: bool) -> str:
    """Return the MathML of a node, or its source with a warning that fails the strict build."""
    latex = node.astext()
    try:
        return to_mathml(latex, display)
    except LatexError as error:
        LOGGER.warning("formula %r: %s", latex, error, location=node, type="mathml", subtype="latex")
        return f"<code>{html.escape(latex)}</code>"


def visit_inline(self, node: nodes.math) -> None:
    self.body.append(f'<span class="math notranslate">{render(node, display=False)}</span>')
    raise nodes.SkipNode


def visit_display(self, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math notranslate"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    # A wide formula scrolls in its own box; the keyboard must reach that box.
    self.body.append(f'<div class="formula" tabindex="0">{render(node, display=True)}</div></div>\n')
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


def write_font(target: Path, codes: set[int]) -> None:
    """Write the mathematical font, cut down to some characters and their larger and smaller shapes."""
    source = Path(find_spec("ziamath").origin).parent / "fonts" / "STIXTwoMath-Regular.ttf"
    features = ["ssty", "dtls", "flac", "ccmp", "mark", "mkmk", "kern"]
    options = subset.Options(flavor="woff", layout_features=features, hinting=False, name_IDs=[0, 1, 2, 13, 14])
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
        write_font(out / "_static" / "fonts" / FONT_FILE, characters(out.rglob("*.html")))


def setup(app):
    app.add_html_math_renderer("mathml", inline_renderers=(visit_inline, None), block_renderers=(visit_display, None))
    app.connect("build-finished", place_font)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
