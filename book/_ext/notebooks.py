"""Each page with cells as a notebook: executed, in plain Markdown, and able to install the package by itself.

The notebooks lie in `notebooks/` beside the pages, and each page offers its own. Where the book has an address
(`repository-code` in CITATION.cff, or `LMTUTOR_REPOSITORY=owner/name` as the workflow sets it), the page also has
buttons that open the published notebook in Colab and on Binder.
"""

import os
import re
from functools import cache
from pathlib import Path
from urllib.parse import quote

import nbformat
import yaml
from docutils import nodes
from jupyter_cache import get_cache
from nbformat.v4 import new_code_cell, new_markdown_cell
from plain_markdown import Links, NoPlainForm, plain
from pybtex.database import parse_file
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]
FOLDER = "notebooks"  # of the built book, and of the branch of the same name
WHEEL = "lmtutor-{version}-py3-none-any.whl"
INSTALL = """\
# Installs the book's package where it is missing, as on Colab. Where it is there, this cell does nothing.
from importlib.util import find_spec

if find_spec("lmtutor") is None:
    %pip install --quiet "{requirement}"\
"""


def repository() -> str | None:
    """Return "owner/name" of the published book on GitHub, or None where it is not published."""
    named = os.environ.get("LMTUTOR_REPOSITORY")
    if not named:
        named = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8")).get("repository-code", "")
    match = re.search(r"([\w.-]+)/([\w.-]+?)(?:\.git)?/?$", named)
    return f"{match[1]}/{match[2]}" if match else None


def site() -> str | None:
    """Return the address of the published pages, or None."""
    if not repository():
        return None
    owner, name = repository().split("/")
    return f"https://{owner}.github.io" + ("" if name == f"{owner}.github.io" else f"/{name}")


def wheel() -> str:
    """Return the file name of the package's wheel."""
    facts = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    return WHEEL.format(version=facts["version"])


def requirement() -> str:
    """Return what pip installs in a notebook: the published wheel, or the one that lies beside the notebook."""
    return f"lmtutor[bpe] @ {site()}/{FOLDER}/{wheel()}" if site() else f"./{wheel()}[bpe]"


def notebook_name(docname: str) -> str:
    return f"{docname.rsplit('/', 1)[-1]}.ipynb"


def buttons(docname: str) -> list[dict]:
    """Return the launch buttons of a page, in the theme's form."""
    if not repository():
        return []
    file = f"{FOLDER}/{notebook_name(docname)}"
    return [
        {
            "type": "link", "text": "Colab", "label": "launch-colab-button", "icon": "fas fa-play",
            "tooltip": "Open the notebook in Colab",
            "url": f"https://colab.research.google.com/github/{repository()}/blob/{FOLDER}/{file}",
        },
        {
            "type": "link", "text": "Binder", "label": "launch-binder-button", "icon": "fas fa-play",
            "tooltip": "Open the notebook on Binder",
            "url": f"https://mybinder.org/v2/gh/{repository()}/{FOLDER}?urlpath=lab/tree/{quote(file)}",
        },
    ]  # fmt: skip


@cache
def bibliography() -> dict[str, tuple[str, str | None]]:
    """Return "Grave et al., 2017" and an address of each work."""
    found = {}
    for key, entry in parse_file(str(ROOT / "book/appendix/references.bib")).entries.items():
        names = [" ".join(person.prelast_names + person.last_names) for person in entry.persons.get("author", [])]
        who = " and ".join(names) if len(names) in (1, 2) else f"{(names or [key])[0]} et al."
        address = f"https://doi.org/{entry.fields['doi']}" if "doi" in entry.fields else entry.fields.get("url")
        found[key] = f"{who}, {entry.fields.get('year', 'n.d.')}", address
    return found


class Page(Links):
    """The references of one page, read from what Sphinx knows and from the built page."""

    def __init__(self, app, docname: str):
        super().__init__(self.to_document, bibliography().__getitem__, self.to_label, self.to_equation)
        self.env, self.docname = app.env, docname
        self.html = (Path(app.outdir) / f"{docname}.html").read_text(encoding="utf-8")

    def to_document(self, target: str) -> tuple[str, str | None]:
        name = os.path.normpath(os.path.join(os.path.dirname(self.docname), target)) if target[0] != "/" else target[1:]
        title = self.env.titles[name].astext() if name in self.env.titles else target
        return title, f"{site()}/{name}.html" if site() else None

    def to_label(self, target: str) -> str:
        shown = re.search(rf'href="[^"]*#{re.escape(target)}"[^>]*>(.*?)</a>', self.html, flags=re.S)
        return re.sub(r"<[^>]*>", "", shown[1]) if shown else target

    def to_equation(self, target: str) -> str:
        page, _ = self.env.get_domain("math").equations[target]
        return ".".join(map(str, self.env.toc_fignumbers[page]["displaymath"][nodes.make_id(f"equation-{target}")]))


def in_plain_form(notebook, links: Links, title: str, address: str | None):
    """Return an executed notebook in plain Markdown, with a first cell that installs the package."""
    cells, hidden = [], False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = plain(cell.source, links)
            hidden = {"solution-start": True, "solution-end": False}.get(last_gate(cell.source), hidden)
            if text.strip():
                cells.append(new_markdown_cell(text))
        elif cell.cell_type == "code":
            tags = [tag for tag in cell.metadata.get("tags", []) if not tag.startswith("remove-")]
            metadata = {"tags": tags} if tags else {}
            if hidden or {"hide-input", "hide-cell"} & set(tags):
                metadata["jupyter"] = {"source_hidden": True}
            shown = cell.metadata.get("mystnb", {})
            code = new_code_cell(cell.source, metadata=metadata, outputs=cell.get("outputs", []))
            code["execution_count"] = cell.get("execution_count")
            cells.append(code)
            caption = shown.get("figure", {}).get("caption")
            if caption:
                cells.append(new_markdown_cell(f"*{' '.join(plain(caption, links).split())}*"))
    where = f"[{title}]({address})" if address else f"“{title}”"
    said = f"This notebook is a page of the book *Recurrent Language Models, by Hand and at Scale*: {where}."
    first = [new_markdown_cell(said), new_code_cell(INSTALL.format(requirement=requirement()))]
    result = nbformat.v4.new_notebook(cells=[*first, *cells])
    result.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    result.metadata["language_info"] = {"name": "python"}
    for number, cell in enumerate(result.cells):
        cell["id"] = f"cell-{number}"  # the same at every build
    return result


def last_gate(source: str) -> str | None:
    """Return the last of a cell's gates around a solution, if there is one."""
    gates = re.findall(r"^`{3,}\{(solution-start|solution-end)\}", source, flags=re.M)
    return gates[-1] if gates else None


def offer(app, pagename, templatename, context, doctree) -> None:
    """Put the notebook among a page's downloads, and the launch buttons before them."""
    if doctree is None or "kernelspec" not in app.env.metadata.get(pagename, {}):
        return
    launch = buttons(pagename)
    if launch:
        group = {"type": "group", "tooltip": "Run this page", "icon": "fas fa-rocket", "label": "launch-buttons"}
        context["header_buttons"].insert(0, group | {"buttons": launch})
    entry = {
        "type": "link", "text": ".ipynb", "label": "download-notebook-button", "icon": "fas fa-code",
        "url": context["pathto"](f"{FOLDER}/{notebook_name(pagename)}", 1), "tooltip": "Download notebook file",
    }  # fmt: skip
    book = {
        "type": "link", "text": "the book as .pdf", "label": "download-book-button", "icon": "fas fa-book",
        "url": f"{site()}/book.pdf", "tooltip": "Download the whole book",
    }  # fmt: skip
    for group in context["header_buttons"]:
        if group.get("label") == "download-buttons":
            group["buttons"].insert(0, entry)
            if site():
                group["buttons"].append(book)


def write_notebooks(app, exception) -> None:
    """Write the notebook of every page with cells, with the outputs of the execution that the page shows."""
    if exception is not None or app.builder.name != "html":
        return
    kept = get_cache(app.config.nb_execution_cache_path)
    target = Path(app.outdir) / FOLDER
    target.mkdir(exist_ok=True)
    for docname in sorted(app.env.found_docs):
        source = Path(app.outdir).parent / "jupyter_execute" / f"{docname}.ipynb"
        if "kernelspec" not in app.env.metadata.get(docname, {}) or not source.is_file():
            continue
        notebook = nbformat.read(source, 4)
        try:
            _, notebook = kept.merge_match_into_notebook(notebook)
        except KeyError:
            pass  # executed without the cache: the outputs are there
        title, address = app.env.titles[docname].astext(), f"{site()}/{docname}.html" if site() else None
        try:
            plain_one = in_plain_form(notebook, Page(app, docname), title, address)
        except NoPlainForm as error:
            LOGGER.warning("%s: %s", docname, error, type="notebooks")
            continue
        nbformat.validate(plain_one)
        nbformat.write(plain_one, target / notebook_name(docname))


def setup(app):
    app.connect("html-page-context", offer, priority=800)
    app.connect("build-finished", write_notebooks, priority=700)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
