"""The directive `playground`: a pretrained model that runs in the reader's browser.

Three things are made of the model when the book is built: a script that holds its weights, which a page loads when its
reader asks for it; a first example, computed here, which is all that a page without JavaScript shows; and the page's
controls (`playground.html`). The browser's side is `lstm.js` and `playground.js` in `book/assets`.

Weights travel as they lie in the packed model, a byte each, in base 85: a page that was opened from the file system
may load a script but may not read a file, and in base 64 the same bytes would be larger than ten million characters.
"""

import base64
import hashlib
import html
import json
import math
from functools import cache
from pathlib import Path
from string import Template

import latches
import torch
from docutils import nodes
from docutils.parsers.rst import Directive
from torch import Tensor

from lmtutor.runs.pretrained import find_pretrained, load_pretrained
from lmtutor.scoring.score import score_text
from lmtutor.system import files as data_files
from lmtutor.system.errors import LMTutorError
from lmtutor.text.vocabulary import Vocabulary
from lmtutor.training.checkpoint import read_tensors, read_vocabulary

SCRIPT = "playground-model.js"  # in _static of the built book
LARGEST = 10_000_000  # bytes that a reader is asked to load
OPENING = "After the war , he sold his house and moved to New"  # easy words, hard ones, and an open end
SHOWN = 10  # likeliest next words
HOTTEST = 16  # bits: from here on a word has the full colour
SIGNED = ' class="signed"'  # from -1 to 1, the others from 0
INSIDE = {"forget": "", "input": "", "new": SIGNED, "memory": SIGNED, "output": "", "shown": SIGNED}
PUBLISHED_CACHE = {"window": 2000, "theta": 0.662, "lam": 0.1279}  # of the model zoo's LSTM on WikiText-2


def unfit(config: dict, vocab: Vocabulary) -> str:
    """What keeps a model from running in the page: an empty string if nothing does."""
    wanted = {"kind": "recurrent", "cell": "lstm", "tied": True, "head": "softmax"}
    odd = [f"{key} is {config.get(key)}" for key, value in wanted.items() if config.get(key) != value]
    if vocab.tokenizer.to_dict() != Vocabulary(["a"]).tokenizer.to_dict():
        odd.append(f"its tokens are {vocab.tokenizer.name}")
    if vocab.eos_id is None or vocab.unk_id is None:
        odd.append("its vocabulary lacks <eos> or <unk>")
    return ", ".join(odd)


def export(name: str, tensors: dict[str, Tensor], config: dict, vocab: Vocabulary, title: str = "") -> bytes:
    """A packed model as one script, which calls ``lmtutorModel`` with all of it.

    Parameters
    ----------
    tensors : as `lmtutor.runs.pretrained.pack_rows` makes them: matrices in int8 with a float32 scale for each row.

    Raises
    ------
    LMTutorError : a model that is no tied word LSTM, or larger than ten million bytes.
    """
    if reason := unfit(config, vocab):
        raise LMTutorError(f"The model {name} cannot run in a page: {reason}.")
    arrays = {
        "b_y": tensors["head.bias"],
        "E.scale": tensors["embedding.weight.scale"],
        "E": tensors["embedding.weight"],
    }
    for layer in range(config["layers"]):
        part = f"layers.{layer}."
        arrays[f"b{layer}"] = tensors[f"{part}bias_ih_l0"] + tensors[f"{part}bias_hh_l0"]  # chapter 03 has one
        for ours, torchs in (("W_x", "weight_ih_l0"), ("W_h", "weight_hh_l0")):
            arrays[f"{ours}{layer}.scale"] = tensors[f"{part}{torchs}.scale"]
            arrays[f"{ours}{layer}"] = tensors[part + torchs]
    # Numbers of four bytes come first: then each array begins at a multiple of its own width.
    ordered = sorted(arrays.items(), key=lambda item: item[1].dtype == torch.int8)
    data = b"".join(
        value.numpy().astype("i1" if value.dtype == torch.int8 else "<f4").tobytes() for _, value in ordered
    )
    head = {
        "name": name,
        "title": title,
        "layers": config["layers"],
        "arrays": [[key, "int8" if value.dtype == torch.int8 else "float32", value.numel()] for key, value in ordered],
        "unk": vocab.unk_id,
        "eos": vocab.eos_id,
        "words": " ".join(vocab.tokens),  # whitespace words: none holds a blank
    }
    text = json.dumps(head, ensure_ascii=False)[:-1] + ', "data": "'
    script = f"lmtutorModel({text}".encode() + base64.b85encode(data + bytes(-len(data) % 4)) + b'"});\n'
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


def bits_html(token: str, known: bool, bits: float) -> str:
    """One word that was read, as `playground.js` shows it too."""
    return (
        f'<li{"" if known else " class=unknown"} style="--heat:{min(1, bits / HOTTEST):.3f}">'
        f"<span>{html.escape(token)}</span> <small>{bits:.1f}</small></li>"
    )


def next_html(word: str, share: float) -> str:
    """One word that may come next, as `playground.js` shows it too."""
    shown = "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"
    return (
        f'<li><span class="choice"><span class="word">{html.escape(word)}</span><span class="bar">'
        f'<i style="width:{share:.2%}"></i></span><span class="share">{html.escape(shown)}</span></span></li>'
    )


def figures(text: str, count: int, bits: float) -> str:
    """The line below the words, as `playground.js` writes it too."""
    return f"{count} words, {bits:.1f} bits: {bits / count:.1f} bits a word, a perplexity of {2 ** (bits / count):.0f}."


@cache
def page_html(name: str) -> str:
    """The controls, with the opening example in them."""
    model, vocab = load_pretrained(name)
    table = score_text(model, vocab, OPENING)
    bits = -table["log_probability"] / math.log(2)
    ids = torch.cat([torch.tensor([vocab.eos_id]), vocab.encode_text(OPENING)])
    with torch.no_grad():
        p = model.next_log_probs(ids[:, None], model.initial_state(1))[0][0].exp()
    likeliest = p.topk(SHOWN)
    shown = [next_html(vocab.tokens[i], q) for q, i in zip(*(part.tolist() for part in likeliest), strict=True)]
    rest = next_html("all others", 1 - float(likeliest.values.sum())).replace("<li>", '<li class="rest">')
    script, settings = script_of(name), cache_settings(name)
    config, cells = packed(name)[1], latches.record_of(name)["latches"]
    first = next(iter(cells.values()))
    whole_numbers = sum(tensor.numel() for tensor in packed(name)[0].values() if tensor.dtype == torch.int8)
    return Template((Path(__file__).parent / "playground.html").read_text(encoding="utf-8")).substitute(
        name=html.escape(name),
        size=f"{len(script) / 1e6:.1f} MB",
        script=address_of(name),
        opening=html.escape(OPENING),
        backwards=html.escape(" ".join(reversed(OPENING.split()))),
        words="".join(map(bits_html, table["token"], table["type"] == table["token"], bits)),
        figures=figures(OPENING, len(table), float(bits.sum())),
        next="".join([*shown, rest]),
        multiplications=f"{whole_numbers / 1e6:.1f} million",
        bracket=html.escape(latches.LINE),
        layers="".join(
            f"<option{' selected' * (layer == first['layer'])}>{layer}</option>"
            for layer in range(1, config["layers"] + 1)
        ),
        last=config["hidden"] - 1,
        cell=first["cell"],
        cells=" ".join(
            f'<button type="button" data-unit="{cell["layer"]} {cell["cell"]}">{pair}</button>'
            for pair, cell in cells.items()
        ),
        rows="".join(f"<span{kind}>{row}</span>" for row, kind in INSIDE.items()),
        **{key: f"{value:g}" for key, value in settings.items()},
    )


class Playground(Directive):
    """`{playground} name-of-a-pretrained-model`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        try:
            page = nodes.raw("", page_html(name), format="html")
        except LMTutorError as error:
            raise self.error(str(error)) from None
        self.state.document.settings.env.metadata[self.state.document.settings.env.docname]["playground"] = name
        return [page]


def load_assets(app, pagename, templatename, context, doctree) -> None:
    """The script and the style, on the pages that have a model, and nowhere else."""
    if "playground" in app.env.metadata.get(pagename, ()):
        for script in ("lstm.js", "tape.js", "playground.js", "inside.js"):
            app.add_js_file(script, loading_method="defer")
        for style in ("tape.css", "playground.css"):
            app.add_css_file(style)


def place_model(app, exception) -> None:
    """Put the weights beside the finished pages."""
    names = {page["playground"] for page in app.env.metadata.values() if "playground" in page}
    if exception is None and app.builder.format == "html":
        for name in names:
            (Path(app.outdir) / "_static" / SCRIPT).write_bytes(script_of(name))


def setup(app):
    app.add_directive("playground", Playground)
    app.connect("html-page-context", load_assets)
    app.connect("build-finished", place_model)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
