"""One small specimen of every file that the package reads, and what reads it: what the fuzzer mutates."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

TEXT = "the cat sat on the mat .\nthe dog sat on the log .\na cat and a dog sat .\n" * 14
RECIPE = """[corpus]
name = "cats.txt"
min_count = 1
lower = false
shares = [0.6, 0.2, 0.2]

[model]
name = "lstm-200"
embedding = 4
hidden = 4
layers = 1
dropout = 0.1

[training]
epochs = 2
optimizer = "nt-asgd"
lr = 2.0
bptt = 20
batch_size = 4
milestones = []
precision = "float32"

[published]
test = 3.5
source = "a made-up paper"
"""


@dataclass(frozen=True)
class Target:
    """A file to mutate, below the zoo's folder, and what reads it then."""

    name: str
    file: str
    read: Callable[[Path], object]


def build(folder: Path) -> None:
    """Make the specimens in a folder, which has to be the working directory: the recipe names its text from there."""
    from lmtutor.runs.pretrained import catalogue_entry, pack_model
    from lmtutor.runs.recipe import read_recipe
    from lmtutor.runs.train import train_recipe
    from lmtutor.text.tokenizers import Tokenizer
    from lmtutor.text.vocabulary import Vocabulary

    (folder / "cats.txt").write_text(TEXT)
    with zipfile.ZipFile(folder / "cats.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("chats é.txt", TEXT)
    (folder / "cats.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in TEXT.splitlines()))
    (folder / "cats.toml").write_text(RECIPE)
    run = train_recipe(read_recipe(folder / "cats.toml"), folder / "run", progress=False)
    (run.path / "cache.json").write_text(json.dumps(dict(window=10, theta=0.5, lam=0.1)))
    model, vocab = run.load()
    pack_model(folder / "packed", model, vocab, "A card.\n")
    (folder / "models.toml").write_text(catalogue_entry(folder / "packed", "A title", "CC0", "run"))
    (folder / "corpora.toml").write_text(
        '[own]\ntitle = "Own"\nlicence = "CC0"\nsource = "us"\ntokenizer = "words"\nspecials = ["<unk>"]\n'
        "[own.tokens]\ntrain = 3\nvalid = 2\ntest = 2\n[own.files.train]\n"
        'path = "own/train.txt"\nmirrors = ["https://example.org/a"]\nchecksum = "sha256:00"\nsize = 3\n'
    )
    for kind in ("words", "characters", "treebank", "bpe"):
        tokenizer = Tokenizer.kinds[kind]()
        if kind == "bpe":
            tokenizer = type(tokenizer)(size=260)
        tokenizer = tokenizer.fit([TEXT])
        Vocabulary.build(tokenizer.tokenize(TEXT), tokenizer).save(folder / f"{kind}-vocabulary.json")


def read_a_run(folder: Path) -> None:
    from lmtutor.runs.run import find_run
    from lmtutor.runs.tuning import cache_settings

    run = find_run(folder / "run")
    str(run.recipe), str(run.score("valid")), str(run.score()), run.history, cache_settings(run)


def use_a_checkpoint(folder: Path) -> None:
    from lmtutor import load_checkpoint

    use(*load_checkpoint(folder / "run/checkpoint"))


def use_a_packed_model(folder: Path) -> None:
    from lmtutor.runs.pretrained import load_packed

    use(*load_packed(folder / "packed"))


def use(model, vocab) -> None:
    """Score and continue a text; the score is a number."""
    from lmtutor import evaluate, generate

    ids = torch.arange(40) % len(vocab)
    assert evaluate(model, ids).nats == evaluate(model, ids).nats
    generate(model, vocab, "", tokens=3, seed=1)


def resume(folder: Path) -> None:
    """Go on with the run for one more epoch."""
    from lmtutor.runs.recipe import read_recipe
    from lmtutor.runs.train import train_recipe

    recipe = read_recipe(folder / "cats.toml")
    longer = replace(recipe, training=replace(recipe.training, epochs=3))
    train_recipe(longer, folder / "run", resume=True, progress=False)


def plan(folder: Path) -> None:
    """Do all that a recipe asks for, but train."""
    from lmtutor import build_model
    from lmtutor.runs.recipe import read_recipe
    from lmtutor.training.session import Session

    recipe = read_recipe(folder / "cats.toml")
    recipe.to_toml()
    corpus = recipe.load_corpus()
    Session(build_model(recipe.model_config(), corpus.vocab), corpus, recipe.training)


def read_a_catalogue(module: str, name: str, read: str) -> Callable[[Path], None]:
    """What reads a catalogue in place of the project's own."""

    def reader(folder: Path) -> None:
        import importlib

        from lmtutor.system import files as data_files

        function, kept = getattr(importlib.import_module(f"lmtutor.{module}"), read), data_files.find
        function.cache_clear()
        data_files.find = lambda asked: folder / name if asked.endswith("catalogue.toml") else kept(asked)
        try:
            function()
        finally:
            data_files.find = kept
            function.cache_clear()

    return reader


def read_a_text(name: str) -> Callable[[Path], None]:
    def reader(folder: Path) -> None:
        from lmtutor import load_corpus

        for tokenizer in ("words", "characters"):
            load_corpus(str(folder / name), tokenizer=tokenizer, shares=(0.6, 0.2, 0.2))

    return reader


def read_a_vocabulary(kind: str) -> Callable[[Path], None]:
    def reader(folder: Path) -> None:
        from lmtutor.text.vocabulary import Vocabulary

        vocab = Vocabulary.load(folder / f"{kind}-vocabulary.json")
        vocab.encode_text("the cat\nsat .")
        vocab.decode_text(range(min(3, len(vocab))))
        vocab.tokenizer.detokenize(vocab.tokenizer.tokenize("The cat sat, e.g. on 3.5 mats.\nIt did."))

    return reader


KINDS = ("words", "characters", "treebank", "bpe")
TARGETS = [
    Target("checkpoint", "run/checkpoint/model.safetensors", use_a_checkpoint),
    Target("checkpoint's vocabulary", "run/checkpoint/vocabulary.json", use_a_checkpoint),
    Target("training state", "run/state.safetensors", resume),
    Target("best epoch on resuming", "run/checkpoint/model.safetensors", resume),
    Target("recipe of a run", "run/recipe.toml", read_a_run),
    Target("recipe", "cats.toml", plan),
    Target("result.json", "run/result.json", read_a_run),
    Target("history.csv", "run/history.csv", read_a_run),
    Target("cache.json", "run/cache.json", read_a_run),
    Target("packed model", "packed/model.safetensors", use_a_packed_model),
    Target("packed vocabulary", "packed/vocabulary.json", use_a_packed_model),
    Target(
        "catalogue of models", "models.toml", read_a_catalogue("runs.pretrained", "models.toml", "pretrained_models")
    ),
    Target("catalogue of corpora", "corpora.toml", read_a_catalogue("text.catalogue", "corpora.toml", "catalogue")),
    Target("text", "cats.txt", read_a_text("cats.txt")),
    Target("packed text", "cats.zip", read_a_text("cats.zip")),
    Target("table", "cats.jsonl", read_a_text("cats.jsonl:text")),
    *(Target(f"{kind} vocabulary", f"{kind}-vocabulary.json", read_a_vocabulary(kind)) for kind in KINDS),
]  # fmt: skip
