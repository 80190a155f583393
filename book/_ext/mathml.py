"""Mathematics as MathML, converted when the book is built.

Every current browser draws MathML by itself, so that a page needs no script, and a formula that cannot be converted
is a warning, which stops the strict build, instead of a red word in the reader's page. The conversion is
`math-core`'s; the font, STIX Two Math, is the one that the package `ziamath` carries, cut down to the characters that
mathematics uses and copied beside the pages: without a mathematical font, hats and brackets have the wrong size.
"""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
FONT_FILE = "STIXTwoMath.woff"
# Latin, Greek and accents, punctuation, arrows, operators, technical signs, mathematical alphanumerics.
FONT_RANGES = (
    (0x20, 0x24F), (0x2B0, 0x3FF), (0x2000, 0x206F), (0x20D0, 0x23FF), (0x25A0, 0x25FF), (0x2660, 0x2667),
    (0x27C0, 0x27FF), (0x2900, 0x2AFF), (0x1D400, 0x1D7FF),
)  # fmt: skip
# What stands for itself in LaTeX and would be numbered twice: Sphinx does the numbering.
NUMBERED = re.compile(r"\\(begin|end)\{(align|equation|gather|alignat|multline)\}")
ENVIRONMENT = re.compile(r"\\begin\{(align|gather|alignat|multline|equation|split)\*?\}")


@cache
def converter() -> LatexToMathML:
    """Return the one converter, which knows no state but its macros."""
    return LatexToMathML(annotation=False, fancy_error=False)


def prepare(latex: str) -> str:
    """Return LaTeX as the converter wants it.

    The numbers of equations are Sphinx's: numbered environments become starred ones. Several lines without an
    environment are aligned, as the MathJax renderer of Sphinx does it.
    """
    latex = latex.strip().replace(r"\begin{split}", r"\begin{aligned}").replace(r"\end{split}", r"\end{aligned}")
    latex = NUMBERED.sub(r"\\\1{\2*}", latex)
    if not ENVIRONMENT.match(latex) and r"\\" in re.sub(r"\\begin\{(\w+\*?)\}.*?\\end\{\1\}", "", latex, flags=re.S):
        latex = r"\begin{aligned}" + latex + r"\end{aligned}"
    return latex


def to_mathml(latex: str, display: bool) -> str:
    """Convert LaTeX (without its dollar signs) to a `<math>` element.

    Raises
    ------
    math_core.LatexError
        If the formula uses a command that the converter does not know, or does not parse.
    """
    return converter().convert_with_local_state(prepare(latex), displaystyle=display)


def render(node: nodes.math | nodes.math_block, display: bool) -> str:
    """Return the MathML of a node, or its source with a warning that fails the strict build."""
    latex = node.astext()
    try:
        return to_mathml(latex, display)
    except LatexError as error:
        LOGGER.warning("formula %r: %s", latex, error, location=node, type="mathml", subtype="latex")
        return f"<code>{nodes.Text(latex).astext()}</code>"


def visit_inline(self, node: nodes.math) -> None:
    self.body.append(f'<span class="math notranslate">{render(node, display=False)}</span>')
    raise nodes.SkipNode


def visit_display(self, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math notranslate"))
    if node["number"]:
        number = f"({node['number']})"
        self.body.append(f'<span class="eqno">{number}')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    # A wide formula scrolls in its own box; the keyboard must reach that box.
    self.body.append(f'<div class="formula" tabindex="0">{render(node, display=True)}</div></div>\n')
    raise nodes.SkipNode


def write_font(folder: Path) -> Path:
    """Write the mathematical font, cut down to what mathematics uses, into a folder; return its path."""
    from fontTools import subset

    target = folder / FONT_FILE
    if target.exists():
        return target
    source = Path(find_spec("ziamath").origin).parent / "fonts" / "STIXTwoMath-Regular.ttf"
    options = subset.Options(flavor="woff", layout_features=["*"], notdef_outline=True, name_IDs=[0, 1, 2, 13, 14])
    font = subset.load_font(str(source), options)
    cut = subset.Subsetter(options)
    cut.populate(unicodes=[code for first, last in FONT_RANGES for code in range(first, last + 1)])
    cut.subset(font)
    folder.mkdir(parents=True, exist_ok=True)
    subset.save_font(font, str(target), options)
    return target


def copy_font(app, exception) -> None:
    if exception is None and app.builder.format == "html":
        write_font(Path(app.outdir) / "_static" / "fonts")


def setup(app):
    app.add_html_math_renderer("mathml", inline_renderers=(visit_inline, None), block_renderers=(visit_display, None))
    app.connect("build-finished", copy_font)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
