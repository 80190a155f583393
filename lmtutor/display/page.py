"""A word LSTM that runs in a page, with the book's scripts and 8-bit weights: the playground, and `lmtutor page`.

The scripts and styles are the book's, `book/assets`; the controls are `playground.html`, beside this file. Weights
travel as they lie in a packed model, a byte each, in base 85: a page that was opened from the file system may not read
a file.
"""

import base64
import html
import json
import math
import re
from pathlib import Path
from string import Template

import torch
from torch import Tensor, nn

from lmtutor.models.registry import config_to_dict
from lmtutor.runs.pretrained import pack_rows, unpack_rows
from lmtutor.runs.run import Run
from lmtutor.runs.tuning import cache_settings
from lmtutor.scoring.sampling import generate
from lmtutor.scoring.score import score_text
from lmtutor.system.errors import LMTutorError
from lmtutor.system.files import CHECKOUT, PACKAGE, write_atomically
from lmtutor.text.tokenizers import Treebank
from lmtutor.text.vocabulary import Vocabulary
from lmtutor.training.checkpoint import load_tensors, model_tensors

ASSETS = CHECKOUT.parent / "book" / "assets", PACKAGE / "_assets"  # in a checkout; in a wheel
SCRIPTS = ("lstm.js", "tape.js", "playground.js", "inside.js")
STYLES = ("tape.css", "playground.css")
SHOWN = 10  # likeliest next words
HOTTEST = 16  # bits: from here on a word has the full colour
SIGNED = ' class="signed"'  # from -1 to 1, the others from 0
GATES = {"forget": "", "input": "", "new": SIGNED, "memory": SIGNED, "output": "", "shown": SIGNED}
PUBLISHED_CACHE = {"window": 2000, "theta": 0.662, "lam": 0.1279}  # of the model zoo's LSTM on WikiText-2
ALONE = """<!doctype html>
<html lang="en" data-theme="light">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$name</title>
<script>
if (matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.dataset.theme = "dark";
</script>
<style>
html { --pst-color-background: #fff; --pst-color-info: #276be9; font: 1.05rem/1.6 system-ui, sans-serif; }
* { box-sizing: border-box; }
$style
body { max-width: 49rem; margin: 0 auto; padding: 1rem; }
body { color: var(--pst-color-text-base); background: var(--pst-color-background); }
</style>
<h1>$name</h1>
<p>A language model that runs in this page, from this file alone. It has learned from $corpus.</p>
$controls
$scripts
</html>
"""


def unfit(config: dict, vocab: Vocabulary) -> str:
    """What keeps a model from running in the page: an empty string if nothing does."""
    wanted = {"kind": ["recurrent"], "cell": ["lstm"], "tied": [True], "head": ["softmax", "sampled"]}
    odd = [f"{key} is {config.get(key)}" for key, values in wanted.items() if config.get(key) not in values]
    if vocab.tokenizer.to_dict() != Vocabulary(["a"]).tokenizer.to_dict():
        odd.append(f"its tokens are {vocab.tokenizer.name}")
    if vocab.eos_id is None or vocab.unk_id is None:
        odd.append("its vocabulary lacks <eos> or <unk>")
    return ", ".join(odd)


def model_script(name: str, tensors: dict[str, Tensor], config: dict, vocab: Vocabulary, title: str = "") -> bytes:
    """A packed model as one script, which calls ``lmtutorModel`` with all of it.

    Parameters
    ----------
    tensors : as `lmtutor.runs.pretrained.pack_rows` makes them: matrices in int8 with a float32 scale for each row.

    Raises
    ------
    LMTutorError : a model that is no tied word LSTM.
    """
    if reason := unfit(config, vocab):
        raise LMTutorError(f"The model {name} cannot run in a page ({reason}): take a tied LSTM of words.")
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
    return as_script({"name": name, "title": title, "layers": config["layers"]}, arrays, vocab)


def as_script(head: dict, arrays: dict[str, Tensor], vocab: Vocabulary) -> bytes:
    """Arrays and a vocabulary as one script, which calls ``lmtutorModel`` with them and with `head`."""
    # Numbers of four bytes come first: then each array begins at a multiple of its own width.
    ordered = sorted(arrays.items(), key=lambda item: item[1].dtype == torch.int8)
    data = b"".join(
        value.numpy().astype("i1" if value.dtype == torch.int8 else "<f4").tobytes() for _, value in ordered
    )
    head = head | {
        "arrays": [[key, "int8" if value.dtype == torch.int8 else "float32", value.numel()] for key, value in ordered],
        "unk": vocab.unk_id,
        "eos": vocab.eos_id,
        "words": " ".join(vocab.tokens),  # whitespace words: none holds a blank
    }
    # It may also stand within a page: nothing in it ends a script, or begins a comment.
    text = json.dumps(head, ensure_ascii=False)[:-1].replace("<", "\\u003c") + ', "data": "'
    digits = base64.b85encode(data + bytes(-len(data) % 4)).replace(b"<!--", b"\\u003c!--")
    return f"lmtutorModel({text}".encode() + digits + b'"});\n'


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


def figures(count: int, bits: float) -> str:
    """The line below the words, as `playground.js` writes it too."""
    return (
        f"{count} words, {bits:.1f} bits: {bits / count:.1f} bits per word, a perplexity of {2 ** (bits / count):.0f}."
    )


def controls(
    name: str, model: nn.Module, vocab: Vocabulary, tensors: dict[str, Tensor], opening: str, size: int, **more: object
) -> str:
    """The controls, with an example in them that needs no script.

    Parameters
    ----------
    tensors : of the packed model. `opening` is the example's text, `size` that of the script, bytes.
    more : the other fields of `playground.html`.
    """
    table = score_text(model, vocab, opening)
    bits = -table["log_probability"] / math.log(2)
    ids = torch.cat([torch.tensor([vocab.eos_id]), vocab.encode_text(opening)])
    with torch.no_grad():
        p = model.next_log_probs(ids[:, None], model.initial_state(1))[0][0].exp()
    likeliest = p.topk(min(SHOWN, len(vocab)))
    shown = [next_html(vocab.tokens[i], q) for q, i in zip(*(part.tolist() for part in likeliest), strict=True)]
    rest = next_html("all others", max(0.0, 1 - float(likeliest.values.sum()))).replace("<li>", '<li class="rest">')
    whole_numbers = sum(tensor.numel() for tensor in tensors.values() if tensor.dtype == torch.int8)
    return Template((Path(__file__).parent / "playground.html").read_text(encoding="utf-8")).substitute(
        name=html.escape(name),
        size=f"{size / 1e6:.1f} MB",
        opening=html.escape(opening),
        backwards=html.escape(" ".join(reversed(opening.split()))),
        words="".join(map(bits_html, table["token"], table["type"] == table["token"], bits)),
        figures=figures(len(table), float(bits.sum())),
        next="".join([*shown, rest]),
        multiplications=f"{whole_numbers / 1e6:.1f} million",
        layers="".join(
            f"<option{' selected' * (layer == more['layer'])}>{layer}</option>"
            for layer in range(1, model.config.layers + 1)
        ),
        last=model.config.hidden - 1,
        rows="".join(f"<span{kind}>{row}</span>" for row, kind in GATES.items()),
        **more,
    )


def write_page(run: Run, out: Path) -> int:
    """Write a page that runs a run's model, with everything in it; return its size in bytes.

    Raises
    ------
    LMTutorError : a model that is no tied LSTM of words or Treebank words, or a run without its weights.
    """
    (model, vocab), title = run.load(), run.packed or run.name
    if vocab.tokenizer.to_dict() | {"punkt": None} == Treebank().to_dict():
        vocab = Vocabulary(vocab.tokens)  # the page cuts at blanks, and frees words of their punctuation
    tensors = pack_rows({key: value.detach() for key, value in model_tensors(model).items()})
    load_tensors(model, unpack_rows(tensors))  # what the page shows without its script is from the same 8 bits
    script = model_script(title, tensors, config_to_dict(model.config), vocab)
    folder = next(folder for folder in ASSETS if folder.is_dir())
    files = {name: (folder / name).read_text(encoding="utf-8") for name in (*SCRIPTS, *STYLES, "book.css")}
    try:
        settings = cache_settings(run)
    except LMTutorError:  # not tuned
        settings = PUBLISHED_CACHE
    opening = generate(model, vocab, "", 12, seed=1).replace("\n", " ").strip()
    more = dict(
        script="", bracket="", layer=1, cell=0, cells="", **{key: f"{value:g}" for key, value in settings.items()}
    )
    shown = controls(title, model, vocab, tensors, opening, len(script), **more)
    colours = re.findall(r"^html\[data-theme=.*?^}$", files["book.css"], flags=re.M | re.S)
    page = Template(ALONE).substitute(
        name=html.escape(title),
        corpus=html.escape(run.recipe.corpus["name"]),
        style="\n".join([*colours, *(files[name] for name in STYLES)]),
        controls=re.sub(r'<p class="examples">.*?</p>', "", shown, flags=re.S),  # of the book's model
        scripts="\n".join(f"<script>{text}</script>" for text in [*(files[n] for n in SCRIPTS), script.decode()]),
    )
    write_atomically(out, page.encode())
    return len(page.encode())
