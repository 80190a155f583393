"""The directive `cards`: a card for each chapter of `_toc.yml`, with its picture, its title and its question.

Title and question are read from the chapter, the picture is `book/assets/chapters/NN.svg`. What a reader can do
afterwards stands in the body of the directive, a line for each chapter that has one: `- 03-lstm: derive the cell`.
"""

import html
import re
from pathlib import Path

import yaml
from docutils import nodes
from docutils.parsers.rst import Directive

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "book" / "assets" / "chapters"


def chapters() -> list[str]:
    """The pages of the part that is numbered, in order."""
    table = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [page["file"] for part in table["parts"] if part.get("numbered") for page in part["chapters"]]


def title_and_question(name: str) -> tuple[str, str]:
    """Of a chapter, as its source has them."""
    source = (ROOT / f"{name}.md").read_text(encoding="utf-8")
    title = re.search(r"^# (.+)$", source, flags=re.M)[1]
    question = re.search(r"^`{3,}\{div\} question\n(.+?)\n`{3,}$", source, flags=re.M | re.S)[1]
    return title, re.sub(r"[*`]", "", " ".join(question.split()))


def afterwards(body: list[str]) -> dict[str, str]:
    """What a reader can do after each chapter, by the name of its file."""
    entries = re.findall(r"^- ([\w-]+): (.+(?:\n  .+)*)$", "\n".join(body), flags=re.M)
    return {name: " ".join(said.split()) for name, said in entries}


class Cards(Directive):
    """`{cards}`, with a list of what a reader can do afterwards."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        env, can = self.state.document.settings.env, afterwards(list(self.content))
        unknown = can.keys() - {Path(name).name for name in chapters()}
        if unknown:
            raise self.error(f"No chapter of _toc.yml is called {', '.join(sorted(unknown))}.")
        cards = []
        for name in chapters():
            stem, (title, question) = Path(name).name, title_and_question(name)
            picture = PICTURES / f"{stem[:2]}.svg"
            for source in (ROOT / f"{name}.md", picture, ROOT / "_toc.yml"):
                env.note_dependency(str(source))
            said = f"<small>Afterwards you can {html.escape(can[stem])}.</small>" if stem in can else ""
            cards.append(
                f'<li><a href="{env.app.builder.get_relative_uri(env.docname, name)}">'
                f"{picture.read_text(encoding='utf-8').strip()}<b>{stem[:2]} {html.escape(title)}</b>"
                f"<span>{html.escape(question)}</span>{said}</a></li>"
            )
        return [nodes.raw("", f'<ol class="cards">{"".join(cards)}</ol>', format="html")]


def setup(app):
    app.add_directive("cards", Cards)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
