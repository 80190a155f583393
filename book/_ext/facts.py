"""What a reader wants to know first: how long a chapter takes to read and its cells to run; and how to cite the book.

Both are computed when the book is built: the minutes from the words, lines of code, formulas and figures of the page,
the seconds from the execution of its cells, the citation from `CITATION.cff`.
"""

import re
from pathlib import Path

import yaml
from docutils import nodes
from docutils.parsers.rst import Directive
from myst_nb.sphinx_ import NbMetadataCollector

ROOT = Path(__file__).resolve().parents[2]
WORDS_A_MINUTE = 180  # technical prose, read to be understood
SECONDS = {"line of code": 3, "formula": 12, "figure": 20}


def reading_minutes(doctree: nodes.document) -> int:
    """Return the minutes that a page takes to read, to the next five; its exercises are for another day."""
    exercises = [part for part in doctree.findall(nodes.section) if "exercises" in part["ids"]]
    return max(5, 5 * round((minutes(doctree) - sum(map(minutes, exercises))) / 5))


def minutes(doctree: nodes.Element) -> float:
    """Return the minutes that a page or a part of it takes to read."""
    hidden = (nodes.literal_block, nodes.math, nodes.math_block, nodes.raw, nodes.comment)
    words = sum(len(text.split()) for text in doctree.findall(nodes.Text) if not isinstance(text.parent, hidden))
    cells = [cell for cell in doctree.findall(nodes.container) if "cell_input" in cell.get("classes", ())]
    lines = sum(len(cell.astext().splitlines()) for cell in cells)
    pictures = len(list(doctree.findall(nodes.image)))
    pictures += sum(raw.astext().count("<img") for raw in doctree.findall(nodes.raw))
    counted = {
        "line of code": lines, "formula": len(list(doctree.findall(nodes.math_block))), "figure": pictures,
    }  # fmt: skip
    return words / WORDS_A_MINUTE + sum(SECONDS[kind] * n for kind, n in counted.items()) / 60


def running_time(seconds: float) -> str:
    """Return a time in words."""
    return f"{max(1, round(seconds))} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def put_below_the_title(app, pagename, templatename, context, doctree) -> None:
    """Say below the title of a chapter how long it takes."""
    if doctree is None or not pagename.startswith("book/chapters/"):
        return
    told = f"About {reading_minutes(doctree)} minutes to read, without the exercises."
    run = NbMetadataCollector.get_exec_data(app.env, pagename)
    if run and run.get("runtime"):
        recorded = (ROOT / "data" / "recorded" / Path(pagename).name).with_suffix(".ipynb").exists()
        when = "their outputs were recorded" if recorded else "this page was built"
        told += f" The cells ran in {running_time(run['runtime'])} when {when}."
    context["body"] = re.sub(
        r"</h1>", lambda end: f'{end[0]}\n<p class="page-facts">{told}</p>', context["body"], count=1
    )


class HowToCite(Directive):
    """`{how-to-cite}`: a sentence and a BibTeX entry, from `CITATION.cff`."""

    def run(self) -> list[nodes.Node]:
        source = ROOT / "CITATION.cff"
        facts = yaml.safe_load(source.read_text(encoding="utf-8"))
        self.state.document.settings.env.note_dependency(str(source))
        parts = ("given-names", "family-names", "name")
        people = [" ".join(filter(None, map(author.get, parts))) for author in facts["authors"]]
        year, address = str(facts["date-released"])[:4], facts.get("repository-code")
        sentence = f"{', '.join(people)} ({year}). {facts['title']}. Version {facts['version']}."
        entry = {
            "title": f"{{{facts['title']}}}", "author": "{" + "} and {".join(people) + "}", "year": year,
            "version": facts["version"], **({"url": address} if address else {}),
        }  # fmt: skip
        fields = "\n".join(f"  {name:8}= {{{value}}}," for name, value in entry.items())
        bibtex = f"@misc{{lmtutor{year},\n{fields}\n}}"
        return [nodes.paragraph("", sentence), nodes.literal_block(bibtex, bibtex, language="bibtex")]


def setup(app):
    app.add_directive("how-to-cite", HowToCite)
    app.connect("html-page-context", put_below_the_title)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
