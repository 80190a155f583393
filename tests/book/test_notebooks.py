"""The notebooks that the pages offer: plain Markdown, with outputs, and at work where only the wheel is installed.

`make test` executes one of them in such an environment, `make notebooks` all.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import notebooks as extension
import pytest
from plain_markdown import Links, NoPlainForm, plain

from tests.helpers import build_wheel

ALL = os.environ.get("LMTUTOR_NOTEBOOKS") == "all"
RAW = re.compile(r"\{[a-z]+(:[a-z]+)*\}`|^ *[`:]{3,}\{|^:::|^\([\w-]+\)=\s*$", flags=re.M)


def links() -> Links:
    return Links(
        document=lambda target: ("The LSTM", f"https://example.org/{target}.html"),
        citation=lambda key: ("Grave et al., 2017", "https://doi.org/x") if key == "grave2017" else (key, None),
        label=lambda label: f"the figure {label}",
        equation=lambda label: "3",
    )


@pytest.mark.parametrize(
    ("myst", "markdown"),
    [
        ("the {term}`loss`, {term}`gates <gate>`", "the loss, gates"),
        ("{doc}`03 <03-lstm>` and {doc}`03-lstm`", "[03](https://example.org/03-lstm.html) and [The LSTM](https://example.org/03-lstm.html)"),
        ("{cite:t}`grave2017` did", "[Grave et al. (2017)](https://doi.org/x) did"),
        ("so {cite:p}`grave2017,other`", "so ([Grave et al., 2017](https://doi.org/x); other)"),
        ("by {eq}`eq-a` and {class}`~lmtutor.system.errors.LMTutorError`", "by (3) and `LMTutorError`"),
        ("$$\na = b\n$$ (eq-a)", "$$\na = b \\tag{3}\n$$"),
        (
            "$$\na &= b \\label{eq-a} \\\\\nc &= d\n$$",
            "$$\n\\begin{aligned}\na &= b\\qquad (3) \\\\\nc &= d\n\\end{aligned}\n$$",
        ),
        ("```{div} question\nWhy?\n```", "> Why?"),
        (":::{warning}\nTake {term}`care`.\n:::", "> **Warning**\n>\n> Take care."),
        ("```{admonition} What runs\n:class: note\nLittle.\n```", "> **What runs**\n>\n> Little."),
        ("```{exercise}\n:label: ex-a\n\n*Easy.* Do it.\n```", "#### Exercise 1\n\n*Easy.* Do it."),
        ("````{solution-start} ex-a\n:class: dropdown\n````", "#### Solution"),
        ("text\n\n````{solution-end}\n````", "text"),
        ("```text\n{term}`kept as it is`\n```", "```text\n{term}`kept as it is`\n```"),
        ("(label)=\n## Head", "## Head"),
    ],
)  # fmt: skip
def test_directives_and_roles_become_plain_markdown(myst, markdown):
    assert plain(myst, links()) == markdown


def test_a_solution_in_one_piece_opens_with_a_click_and_names_its_exercise():
    text = "```{exercise}\n:label: ex-a\nWhat?\n```\n\n````{solution} ex-a\n:class: dropdown\n\nThis: $x$.\n````"
    shown = plain(text, links())
    assert "<summary><b>Solution of exercise 1</b></summary>\n\nThis: $x$.\n\n</details>" in shown


@pytest.mark.parametrize("text", ["```{thumbnail} a\n```", "some {smallcaps}`word`"])
def test_what_has_no_plain_form_is_an_error(text):
    with pytest.raises(NoPlainForm):
        plain(text, links())


def test_published_pages_open_the_published_notebook(monkeypatch):
    monkeypatch.setenv("LMTUTOR_REPOSITORY", "someone/their-book")
    colab, binder = (button["url"] for button in extension.buttons("book/chapters/03-lstm"))
    assert colab == "https://colab.research.google.com/github/someone/their-book/blob/notebooks/notebooks/03-lstm.ipynb"
    assert binder == "https://mybinder.org/v2/gh/someone/their-book/notebooks?urlpath=lab/tree/notebooks/03-lstm.ipynb"
    assert extension.requirement() == (
        f"lmtutor[bpe] @ https://someone.github.io/their-book/notebooks/{extension.wheel()}"
    )


def test_the_named_wheel_is_the_one_that_is_built(wheel):
    assert wheel.name == extension.wheel(), "pyproject.toml and CITATION.cff name two versions"


# --- The notebooks of the built book -----------------------------------------------------------------------------


def offered(page, site) -> Path:
    return site / "notebooks" / extension.notebook_name(page.name)


@pytest.mark.book
def test_page_offers_its_notebook_in_plain_form_with_outputs(page, site):
    if not page.code_cells():
        return
    (address,) = {link["href"] for link in page.html.select("a[href$='.ipynb']")}
    assert (page.path.parent / address).resolve() == offered(page, site).resolve()
    notebook = nbformat.read(offered(page, site), 4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "%pip install" in code[0].source
    assert len(code) == 1 + len(page.code_cells())
    shown = sum(bool(cell.outputs) for cell in code)
    assert shown >= len(page.article.select("div.cell_output")) * 0.9
    for output in (output for cell in code for output in cell.outputs):
        kinds = output.get("data", {})
        assert not any(kind.startswith("image/") for kind in kinds), "a picture without an alternative text"
        for image in re.findall(r"<img [^>]*>", "".join(kinds.get("text/html", ""))):
            assert re.search(r'alt="[^"]{15,}"', image), image[:200]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r"^(`{3,}).*?^\1", "", cell.source, flags=re.M | re.S)
            assert not RAW.search(prose), cell.source[:300]


# --- In an environment of their own ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def kernel(tmp_path_factory) -> str:
    """A kernel whose environment has all that the package needs, and not the package; its name."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    inside = folder / "env" / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not re.match(r"(__editable__.*|lmtutor.*|.*\.pth|__pycache__)$", entry.name):
            (inside / entry.name).symlink_to(entry)
    python = folder / "env" / "bin" / "python"
    found = subprocess.run([python, "-c", "import torch, lmtutor"], cwd=folder, capture_output=True, text=True)
    assert "No module named 'lmtutor'" in found.stderr, found.stderr
    spec = folder / "kernels" / "fresh"
    spec.mkdir(parents=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "fresh", "language": "python"}))
    before = os.environ.get("JUPYTER_PATH")
    os.environ["JUPYTER_PATH"] = str(folder)
    yield "fresh"
    os.environ.pop("JUPYTER_PATH") if before is None else os.environ.update(JUPYTER_PATH=before)


def pytest_generate_tests(metafunc):
    if "notebook" in metafunc.fixturenames:
        names = sorted(path.stem for path in (Path(__file__).parents[2] / "book" / "chapters").glob("*.md"))
        metafunc.parametrize("notebook", ["intro", "results", *names] if ALL else ["intro"])


@pytest.mark.book
@pytest.mark.slow
def test_notebook_runs_where_only_its_first_cell_installs_the_package(notebook, wheel, kernel, site, tmp_path):
    """The first cell installs the wheel that lies beside the notebook; then every other cell runs."""
    from nbclient import NotebookClient

    content = nbformat.read(site / "notebooks" / f"{notebook}.ipynb", 4)
    install = next(cell for cell in content.cells if cell.cell_type == "code")
    install.source = re.sub(
        r'"lmtutor\[bpe\] @ [^"]*"', f'"./{wheel.name}[bpe]"', install.source
    )  # not the published one
    shutil.copy(wheel, tmp_path)
    NotebookClient(content, kernel_name=kernel, timeout=1200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    tags = (set(cell.metadata.get("tags", [])) for cell in content.cells)
    raised = [
        output.ename
        for cell, have in zip(content.cells, tags, strict=True)
        for output in cell.get("outputs", [])
        if output.output_type == "error" and "raises-exception" not in have
    ]
    assert not raised
