"""The mathematics of the pages: LaTeX becomes MathML that says the same."""

import xml.etree.ElementTree as ET
from importlib.util import find_spec
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont
from math_core import LatexError
from mathml import FONT_FILE, MARK, apart, characters, number_lines, prepare, to_mathml, write_font


def tree(latex, display=True):
    root = ET.fromstring(to_mathml(latex, display))
    assert root.tag == "math"
    assert (root.get("display") == "block") == display
    return root


def text(element):
    return "".join(element.itertext())


def rows(latex):
    """The cells of the one table of a formula, as text without blanks."""
    (table,) = tree(latex).iter("mtable")
    return [["".join(text(cell).split()) for cell in row.iter("mtd")] for row in table.iter("mtr")]


def test_subscripts_and_superscripts():
    root = tree(r"W_{xh}^\top h_{t-1}", display=False)
    assert len(list(root.iter("msubsup"))) == 1
    base, low, high = root.find(".//msubsup")
    assert (text(base), text(low), text(high)) == ("W", "xh", "⊤")
    assert text(root.find(".//msub")[1]) == "t−1"


@pytest.mark.parametrize("environment", ["aligned", "split", "align", "align*"])
def test_aligned_equations_align_at_the_ampersand(environment):
    latex = rf"\begin{{{environment}}} i_t &= \sigma(x) \\ f_t &= 1 - i_t \end{{{environment}}}"
    cells = rows(latex)
    assert cells == [["it", "=σ(x)"], ["ft", "=1−it"]], "no number: Sphinx counts the equations"
    assert "&" not in text(tree(latex))


def test_lines_carry_their_numbers_in_a_column_of_their_own():
    marked = rf"a &= b \text{{{MARK}}} \\ c &= d & e \\ f &= g \text{{{MARK}}}"
    table = ET.fromstring(number_lines(to_mathml(marked, True), [("one", "2.1"), ("two", "2.2")])).find("mtable")
    assert [len(row) for row in table] == [5, 5, 5], "as many cells in each line, one on each side more"
    assert [row.get("id") for row in table] == ["one", None, "two"]
    assert [text(row[-1]) for row in table] == ["(2.1)", "", "(2.2)"]
    assert ["".join(text(cell) for cell in row[:-1]) for row in table] == ["a=b", "c=de", "f=g"]


def test_a_wide_formula_parts_between_clauses_and_before_relations():
    latex = r"p(x_1, x_2) = p(x_1) p(x_2 \mid x_1), \qquad \theta \leftarrow \theta - \eta \frac{a = b}{c}"
    clauses = ET.fromstring(f"<p>{apart(to_mathml(latex, True))}</p>")
    parts = [["".join(text(part).split()) for part in clause] for clause in clauses]
    assert parts == [["p(x1,x2)", "=p(x1)p(x2∣x1),"], ["θ", "←θ−ηa=bc"]]
    assert {part.get("display") for part in clauses.iter("math")} == {"block"}
    for whole in (r"a = b", r"\begin{aligned} a &= b \\ c &= d \end{aligned}"):
        assert apart(to_mathml(whole, True)) == to_mathml(whole, True)


def test_several_lines_without_environment_are_aligned():
    assert rows(r"a &= b \\ c &= d") == [["a", "=b"], ["c", "=d"]]
    assert rows(r"a &= b & c &= d") == [["a", "=b", "c", "=d"]]


def test_a_matrix_inside_one_line_stays_one_line():
    assert prepare(r"\begin{pmatrix} a \\ b \end{pmatrix}").startswith(r"\begin{pmatrix}")


def test_cases():
    cells = rows(r"f(x) = \begin{cases} x & \text{if } x > 0 \\ 0 & \text{otherwise} \end{cases}")
    assert cells == [["x", "ifx>0"], ["0", "otherwise"]]


@pytest.mark.parametrize("name, brackets", [("pmatrix", "()"), ("bmatrix", "[]"), ("vmatrix", "||")])
def test_matrices(name, brackets):
    latex = rf"\begin{{{name}}} a & b \\ c & d \end{{{name}}}"
    assert rows(latex) == [["a", "b"], ["c", "d"]]
    written = text(tree(latex)).strip()
    assert (written[0], written[-1]) == tuple(brackets)


def test_bold_letters_and_named_operators():
    assert "𝐖" in text(tree(r"\mathbf{W}"))
    assert "𝜽" in text(tree(r"\boldsymbol{\theta}"))
    assert "ℝ" in text(tree(r"\mathbb{R}^{T \times B}"))
    root = tree(r"\operatorname{softmax}(z)_i = \operatorname*{arg\,max}_{w} p(w)")
    names = [text(element) for element in root.iter("mi")]
    assert "softmax" in names and "z" in names
    assert [text(e[1]) for e in root.iter("munder")] == ["w"], "the limit stands under the operator"


def test_sums_fractions_and_conditional_bars():
    root = tree(r"H = -\frac{1}{N} \sum_{t=1}^{N} \log p(x_t \mid x_{<t})")
    assert text(root.find(".//mfrac")[0]) == "1"
    assert len(root.find(".//munderover")) == 3
    assert "∣" in text(root) or "|" in text(root)


def test_sum_in_running_text():
    root = tree(r"\sum_{t=1}^{N} x", display=False)
    assert root.get("display") is None, "where limits go is the browser's choice, by the sign and the display"
    assert len(root.find(".//munderover")) == 3


@pytest.mark.parametrize(
    "latex, expected",
    [
        (r"\hat{h} \tilde{c} \bar{x}", "h"), (r"\lVert g \rVert_2", "‖"), (r"a \odot b", "⊙"), (r"\mathcal{L}", "ℒ"),
        (r"\left( \frac{a}{b} \right)", "("), (r"\underbrace{a+b}_{\text{both}}", "both"), (r"x \in \{a, b\}", "∈"),
        (r"\sqrt{2} \approx \log_2 e", "≈"), (r"\partial L / \partial W", "∂"), (r"a \leftarrow b \propto c", "∝"),
        (r"N_{1+}(\bullet\, w)", "N"), (r"\lfloor x \rfloor \ldots \cdots", "⌊"), (r"\binom{n}{k}", "n"),
        (r"\mathbb{1}\{w = x_{i+1}\}", "𝟙"), (r"x' \times \text{nats per token}", "nats"),
    ],
)  # fmt: skip
def test_signs_of_the_chapters(latex, expected):
    assert expected in text(tree(latex))


def test_a_formula_that_is_not_understood_is_an_error():
    for latex in (r"\nosuchcommand{x}", r"\frac{1}", r"\begin{aligned} a"):
        with pytest.raises(LatexError):
            to_mathml(latex, display=True)


def test_less_than_and_quotes_are_escaped():
    assert "x_{<t}" not in to_mathml("x_{<t}", display=False)
    ET.fromstring(to_mathml(r"p < q", display=False))


def test_font_holds_what_the_pages_use_and_its_measures(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<p>⊕</p><math><mo>⊙</mo><mi>&#x2112;</mi></math>", encoding="utf-8")
    codes = characters([page])
    assert {ord("⊙"), ord("ℒ"), 0x1D465} <= codes and ord("⊕") not in codes
    assert ord("√") not in codes
    page.write_text(to_mathml(r"\sqrt{m}", display=True), encoding="utf-8")
    codes |= characters([page])
    target = tmp_path / "fonts" / FONT_FILE
    fonts = Path(find_spec("ziamath").origin).parent / "fonts"
    write_font(fonts / "STIXTwoMath-Regular.ttf", target, codes)
    font = TTFont(target)
    assert "MATH" in font, "without this table hats and brackets do not grow"
    assert {ord("⊙"), ord("√")} <= set(font.getBestCmap()) and ord("⊕") not in font.getBestCmap()
    assert target.stat().st_size < 200_000
