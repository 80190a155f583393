"""The directive `playground`: a pretrained model that runs in the reader's browser.

Three things are made of the model when the book is built: a script that holds its weights, which a page loads when its
reader asks for it; a first example, computed here, which is all that a page without JavaScript shows; and the page's
controls. `lmtutor.display.page` makes them, and `lmtutor page` for any run; the browser's side is in `book/assets`.
"""

import hashlib
import html
import json
from functools import cache
from pathlib import Path

import latches
from docutils import nodes
from docutils.parsers.rst import Directive, directives
from panels import ask_for_files
from torch import Tensor

from lmtutor.display.page import PUBLISHED_CACHE, SCRIPTS, STYLES, controls, model_script
from lmtutor.runs.pretrained import find_pretrained, load_pretrained
from lmtutor.system import files as data_files
from lmtutor.system.errors import LMTutorError
from lmtutor.text.vocabulary import Vocabulary
from lmtutor.training.checkpoint import read_tensors, read_vocabulary

SCRIPT = "playground-model.js"  # in _static of the built book
LARGEST = 10_000_000  # bytes that a reader is asked to load
OPENING = "After the war , he sold his house and moved to New"  # easy words, hard ones, and an open end


def export(name: str, *model: object, title: str = "") -> bytes:
    """The script of a packed model, `LMTutorError` where it is larger than ten million bytes."""
    script = model_script(name, *model, title=title)
    if len(script) > LARGEST:
        raise LMTutorError(f"The model {name} would be {len(script):,} bytes in the page: at most {LARGEST:,}.")
    return script


@cache
def packed(name: str) -> tuple[dict[str, Tensor], dict, Vocabulary]:
    """The tensors of a pretrained model as they lie in its file, its config and its vocabulary."""
    folder = find_pretrained(name).folder()
    tensors, header = read_tensors(folder / "model.safetensors")
    return tensors, header["config"], read_vocabulary(folder, header)


@cache
def script_of(name: str) -> bytes:
    """The script of a pretrained model."""
    return export(name, *packed(name), title=find_pretrained(name).title)


def address_of(name: str) -> str:
    """Where the script lies in _static, with a mark of its content."""
    return f"{SCRIPT}?v={hashlib.sha256(script_of(name)).hexdigest()[:8]}"


def cache_settings(name: str) -> dict[str, float]:
    """Window, θ and λ as tuned for the model's run where that was recorded (chapter 07), else the published ones."""
    record = data_files.find(f"runs/{find_pretrained(name).run}-cache/result.json")
    return json.loads(record.read_text(encoding="utf-8"))["cache"] if record else PUBLISHED_CACHE


@cache
def page_html(name: str) -> str:
    """The controls, with the opening example in them."""
    cells = latches.record_of(name)["latches"]
    first = next(iter(cells.values()))
    return controls(
        name,
        *load_pretrained(name),
        packed(name)[0],
        OPENING,
        len(script_of(name)),
        script=address_of(name),
        bracket=html.escape(latches.LINE),
        layer=first["layer"],
        cell=first["cell"],
        cells=" ".join(
            f'<button type="button" data-unit="{cell["layer"]} {cell["cell"]}">{pair}</button>'
            for pair, cell in cells.items()
        ),
        **{key: f"{value:g}" for key, value in cache_settings(name).items()},
    )


def inside_alone(page: str, show: str) -> str:
    """Of the controls, a text and the look inside, which begins with one kind of arcs."""
    page = page.replace('class="playground"', 'class="playground inside-alone"', 1)
    return page.replace(f'<option value="{show}">', f'<option value="{show}" selected>', 1)


class Playground(Directive):
    """`{playground} name-of-a-pretrained-model`; with `:show:` and a kind of arcs, the look inside alone."""

    required_arguments = 1
    option_spec = {"show": lambda kind: directives.choice(kind, ("gradient", "without", "cache"))}

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        try:
            page = page_html(name)
        except LMTutorError as error:
            raise self.error(str(error)) from None
        env = self.state.document.settings.env
        env.metadata[env.docname]["playground"] = name
        ask_for_files(env, (*SCRIPTS, *STYLES))
        show = self.options.get("show")
        return [nodes.raw("", inside_alone(page, show) if show else page, format="html")]


def place_model(app, exception) -> None:
    """Put the weights beside the finished pages."""
    names = {page["playground"] for page in app.env.metadata.values() if "playground" in page}
    if exception is None and app.builder.format == "html":
        for name in names:
            (Path(app.outdir) / "_static" / SCRIPT).write_bytes(script_of(name))


def setup(app):
    app.add_directive("playground", Playground)
    app.setup_extension("panels")
    app.connect("build-finished", place_model)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
