"""Make a pretrained model of a finished run: pack its weights, measure what packing costs, write its card."""

import re
from pathlib import Path

from torch import Tensor, nn

from lmtutor.runs.pretrained import catalogue_entry, load_packed, pack_model, pretrained_models
from lmtutor.runs.run import Run
from lmtutor.scoring.neural_cache import NeuralCache, tune_cache
from lmtutor.scoring.score import Score, evaluate
from lmtutor.system import files as data_files
from lmtutor.system.errors import LMTutorError, refuse
from lmtutor.system.files import write_atomically
from lmtutor.training.config import text_to_score

LARGEST = 16 << 20  # bytes of one file
TUNED_ON = 50_000  # tokens of the validation split on which the cache of the card is chosen, at most
CARD = """# {name}

{title}.

| | |
|---|---|
| parameters | {parameters:,}, {kilobytes:,} KiB with 8-bit rows |
| corpus | {corpus} |
| licence of the weights | {licence} |
| trained by | `{command}`, {epochs} epochs, {minutes:.0f} minutes on {device} |
| commit | {commit} |
| test perplexity | {test:.2f} packed, {whole:.2f} before packing ({cost:+.2f} %) |
| valid perplexity | {valid:.2f} packed, {whole_valid:.2f} before packing |
| with a neural cache | {cached} |
| protocol | {protocol} |

For teaching and for first experiments: to score and continue text like that of its corpus. It repeats what that
corpus says and how it says it, mistakes and prejudices included; it knows nothing after it; it is not a source of
facts.
"""


def release(run: Run, name: str, title: str, licence: str) -> dict[str, Score]:
    """Pack a run's weights into ``data/models/NAME`` and enter it in the catalogue there.

    Returns
    -------
    The packed model's scores, ``valid`` and ``test``.

    Raises
    ------
    LMTutorError : not a checkout, or a file larger than 16 MiB.
    """
    folder, result = data_files.CHECKOUT / "models" / name, run.result
    recorded = data_files.find(f"runs/{result['recipe']}")
    half_made = not (folder / "card.md").exists()
    refuse(
        {
            "A release goes into data/models of a checkout: pip install -e .": not data_files.in_checkout(),
            f"{name!r}: a model's name has letters, digits, - and _ only": not re.fullmatch(r"[A-Za-z0-9_-]+", name),
            f"There is a model {name} already: delete {folder} first to replace it": not half_made,
            f"{run.path} is not the recorded run {result['recipe']}: copy its files into data/runs": not recorded
            or Run(recorded).result["test"] != result["test"],
        }
    )
    model, vocab = run.load()
    pack_model(folder, model, vocab, "")
    if (folder / "model.safetensors").stat().st_size > LARGEST:
        raise LMTutorError(f"{folder / 'model.safetensors'} is larger than {LARGEST:,} bytes: too large to release.")
    packed, _ = load_packed(folder)
    corpus = run.load_corpus(vocab)
    texts = {split: text_to_score(corpus, split, run.recipe.training) for split in ("valid", "test")}
    scores = {split: evaluate(packed, text) for split, text in texts.items()}
    card = CARD.format(
        name=name,
        title=title,
        licence=licence,
        kilobytes=round((folder / "model.safetensors").stat().st_size / 1024),
        minutes=result["training_seconds"] / 60,
        test=scores["test"].perplexity,
        valid=scores["valid"].perplexity,
        whole=result["test"]["perplexity"],
        whole_valid=result["valid"]["perplexity"],
        cached=_with_cache(packed, texts),
        cost=round(100 * (scores["test"].perplexity / result["test"]["perplexity"] - 1), 2) + 0.0,  # never -0.00
        **{key: result[key] for key in ("parameters", "corpus", "command", "epochs", "device", "commit", "protocol")},
    )
    write_atomically(folder / "card.md", card.encode())
    enter(folder, catalogue_entry(folder, title, licence, result["recipe"]))
    return scores


def _with_cache(model: nn.Module, texts: dict) -> str:
    """What a neural cache, tuned on the validation split, makes of the test perplexity."""
    if not isinstance(texts["test"], Tensor):
        return "not scored: samples have no past to look back to"
    valid = texts["valid"]
    best = tune_cache(model, valid[:TUNED_ON])[1]
    score = evaluate(NeuralCache(model, **best), texts["test"])
    part = "the beginning of valid" if len(valid) > TUNED_ON else "valid"
    return "test perplexity {:.2f} (window {window}, θ {theta:g}, λ {lam:g}, chosen on {})".format(
        score.perplexity, part, **best
    )


def enter(folder: Path, entry: str) -> None:
    """Put a model's entry into the catalogue, in place of an earlier one."""
    path = folder.parent / "catalogue.toml"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    models = re.split(r"^(?=\[[^.\]]+\]$)", text, flags=re.M)
    kept = [model.strip() for model in models if model.strip() and not model.startswith(f"[{folder.name}]\n")]
    write_atomically(path, ("\n\n".join(sorted([*kept, entry.strip()])) + "\n").encode())
    pretrained_models.cache_clear()
