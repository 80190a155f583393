"""One way to score a text, for every model of the package."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from lmtutor.models.base import Scorer, device_of, eval_mode
from lmtutor.models.heads import IGNORED
from lmtutor.system.errors import Diverged, LMTutorError
from lmtutor.system.machine import keep_freed_memory
from lmtutor.text.batches import Batch
from lmtutor.text.encoding import encode_whole, mapped
from lmtutor.text.sources import as_read, text_blocks

STREAM_PROTOCOL = "batch 1, state carried over the whole text, every token scored except the very first"
COLUMNS_PROTOCOL = "{} columns, state carried, neither the first token of each nor the tail that fills no row scored"
SAMPLES_PROTOCOL = "each sample from a fresh state, every token scored once"
WINDOWS_PROTOCOL = "each sample from a fresh state, after context that is read but not scored"
STRETCH = 1024  # tokens read at a time; the figure is the same for any, only the memory differs


@dataclass(frozen=True)
class Score:
    """Total surprisal of a text and the counts that it covers; everything else is derived."""

    nats: float  # sum of −ln p over the scored tokens
    tokens: int  # scored tokens
    characters: int | None = None  # of the raw text, where known
    protocol: str = STREAM_PROTOCOL  # how the text was read, in words

    @property
    def nats_per_token(self) -> float:
        """Cross-entropy, nats per token."""
        return self.nats / self.tokens

    @property
    def bits_per_token(self) -> float:
        """Cross-entropy, bits per token."""
        return self.nats_per_token / math.log(2)

    @property
    def perplexity(self) -> float:
        """exp of the cross-entropy; infinite where that overflows or a token had probability zero."""
        return math.inf if self.nats_per_token > 700 else math.exp(self.nats_per_token)

    @property
    def nats_per_character(self) -> float | None:
        """Nats per character of the raw text, comparable across tokenisations; None without the raw text."""
        return self.nats / self.characters if self.characters else None

    @property
    def bits_per_character(self) -> float | None:
        """Bits per character of the raw text. None without the raw text."""
        return self.nats_per_character / math.log(2) if self.characters else None

    def __str__(self) -> str:
        text = f"perplexity {self.perplexity:.2f} ({self.nats_per_token:.4f} nats per token, {self.tokens:,} tokens"
        if self.characters:
            text += f"; {self.nats_per_character:.4f} nats or {self.bits_per_character:.4f} bits per character"
        return text + ")"


def stretches(ids: Tensor, stretch: int = STRETCH) -> Iterable[Batch]:
    """One column of consecutive pieces, the state carried: how a whole text is read at batch 1."""
    inputs, targets = ids[:-1, None], ids[1:, None]
    for start in range(0, len(inputs), stretch):
        yield Batch(inputs[start : start + stretch], targets[start : start + stretch], start > 0)


@torch.no_grad()
def evaluate(
    model: Scorer, text: Tensor | str | Path | Iterable[Batch], *, vocab=None, characters: int | None = None
) -> Score:
    """Score a text.

    Parameters
    ----------
    model : any model of the package (torch, n-gram, with a neural cache).
    text : ids ``(N,)``, read as one stream at batch 1; a string, or the path of a file, the whole of it, unknown words
        as ``<unk>``; or batches from `lmtutor.text.batches` (columns, samples, windows).
    vocab : the model's vocabulary, for a string or file; default: the one that the model was built or loaded with.
    characters : characters of the raw text, for `Score.nats_per_character`; of a string or file they are known.

    Raises
    ------
    LMTutorError : fewer than two tokens, ids outside the vocabulary, or a string and no vocabulary to read it with.
    Diverged : a log-probability is NaN.
    """
    keep_freed_memory()
    if isinstance(text, str | Path):
        text, characters = read_ids(model, getattr(model, "vocab", None) if vocab is None else vocab, text)
    if isinstance(text, Tensor):
        check_ids(model, text)
        text = stretches(text)
    device, state, nats, tokens = device_of(model), None, 0.0, 0
    columns, starts, context, padding = 0, 0, False, False  # what the batches turn out to be
    with eval_mode(model):
        for batch in text:
            scored = batch.targets != IGNORED
            if not batch.carry or state is None:
                state = model.initial_state(batch.inputs.shape[1])
                columns, starts = max(columns, batch.inputs.shape[1]), starts + 1
                context = context or not bool(scored[0].all())
            log_probs, state = model.target_log_probs(batch.inputs.to(device), batch.targets.to(device), state)
            nats -= float(log_probs.double().sum())
            tokens += int(scored.sum())
            padding = padding or not bool(scored.all())
    if math.isnan(nats):
        raise Diverged("The model's probabilities are not numbers (NaN): its training diverged, or it is damaged.")
    if tokens == 0:
        raise LMTutorError("The text has no token to score: the first token of a text is only read.")
    protocol = WINDOWS_PROTOCOL if context else SAMPLES_PROTOCOL
    if starts == 1 and not padding:
        protocol = STREAM_PROTOCOL if columns == 1 else COLUMNS_PROTOCOL.format(columns)
    return Score(nats, tokens, characters, f"{protocol}; {model.protocol}" if model.protocol else protocol)


def read_ids(model: Scorer, vocab, text: str | Path) -> tuple[Tensor, int]:
    """The ids of a string, a file or the standard input, read whole, and its characters."""
    if vocab is None:
        raise LMTutorError("A text must become ids before it is scored: pass vocab=, the model's vocabulary.")
    check_vocabulary(model, vocab)
    return encode_whole(text_blocks(text), vocab)


def line_end(vocab) -> int | None:
    """The id of what ends a line: a line feed where that is a type, else `<eos>`; None where neither is."""
    return vocab["\n"] if "\n" in vocab else vocab.eos_id


def check_ids(model: Scorer, ids: Tensor) -> None:
    """Raise `LMTutorError` unless `ids` is a text of at least two tokens within the model's vocabulary."""
    if ids.dim() != 1 or len(ids) < 2:
        has = f"{len(ids)} in all" if ids.dim() == 1 else f"shape {tuple(ids.shape)}"
        raise LMTutorError(f"Scoring needs one row of at least 2 token ids, the first only read; got {has}.")
    if int(ids.max()) >= model.vocab_size or int(ids.min()) < 0:
        raise LMTutorError(
            f"The text has ids up to {int(ids.max())}, the model {model.vocab_size} types: take its own."
        )


def check_vocabulary(model: Scorer, vocab) -> None:
    """Raise `LMTutorError` unless a model and a vocabulary have as many types."""
    if model.vocab_size != len(vocab):
        raise LMTutorError(f"The model has {model.vocab_size} types, the vocabulary {len(vocab)}: use its own.")


def score_text(model: Scorer, vocab, text: str) -> pd.DataFrame:
    """The log-probability of each token of a text, read on from the end of a line.

    Returns
    -------
    DataFrame
        Columns ``token`` (as written), ``type`` (what the model read, ``<unk>`` for an unknown word) and
        ``log_probability`` (nats).
    """
    check_vocabulary(model, vocab)
    tokens = vocab.tokenizer.tokenize(as_read(text))
    if not tokens:
        raise LMTutorError("There is no text to score: give at least one token.")
    ids = vocab.encode(tokens)
    start = line_end(vocab)
    if start is None and len(ids) < 2:
        raise LMTutorError("Without a line end in the vocabulary the first token is only read: give at least two.")
    read = ids if start is None else torch.cat([torch.tensor([start]), ids])
    if vocab.tokenizer.name == "bpe":  # its pieces show a blank as Ġ, and letters beyond ASCII as their bytes
        tokens = vocab.tokenizer.written(tokens)
    scored = tokens if start is not None else tokens[1:]
    log_probs = stream_log_probs(model, read).tolist()
    return pd.DataFrame({"token": scored, "type": vocab.decode(read[1:]), "log_probability": log_probs})


def score_lines(model: Scorer, vocab, text: str | Iterable[str]) -> pd.DataFrame:
    """Score each line of a text. The text is read on from line to line, as `evaluate` reads it: the sums are its own.

    Treebank words take each line for a paragraph, since their sentences would run on from one line to the next.

    Parameters
    ----------
    model, vocab : a model of the package, and its vocabulary.
    text : whole, or in blocks of whole lines.

    Returns
    -------
    DataFrame
        One row per line: ``line`` (from 1), ``tokens`` (scored: all but the very first of the text), ``unknown``
        (tokens read as ``<unk>``), ``nats``, ``perplexity`` (of the line, NaN where no token is scored).
    """
    check_vocabulary(model, vocab)
    sizes: list[int] = []

    def lines() -> Iterator[Tensor]:
        for block in [text] if isinstance(text, str) else text:
            for line in re.findall("[^\n]*\n|[^\n]+", block):
                ids = vocab.encode_text(line)
                sizes.append(len(ids))
                yield ids

    ids = mapped(lines())
    check_ids(model, ids)
    where = torch.repeat_interleave(torch.tensor(sizes))  # of each token, its line
    nats = where[1:].bincount(-stream_log_probs(model, ids), minlength=len(sizes))
    unknown = where[ids == (-1 if vocab.unk_id is None else vocab.unk_id)].bincount(minlength=len(sizes))
    tokens = where[1:].bincount(minlength=len(sizes))  # the first of all is only read
    table = {"line": range(1, len(sizes) + 1), "tokens": tokens, "unknown": unknown, "nats": nats}
    perplexity = [Score(mean, 1).perplexity for mean in (nats / tokens).tolist()]
    return pd.DataFrame({**table, "perplexity": perplexity})


@torch.no_grad()
def stream_log_probs(model: Scorer, ids: Tensor) -> Tensor:
    """The log-probability of each token of a text ``(N,)`` but the first, read at batch 1: ``(N − 1,)`` nats."""
    device, state, pieces = device_of(model), model.initial_state(1), []
    with eval_mode(model):
        for batch in stretches(ids):
            log_probs, state = model.target_log_probs(batch.inputs.to(device), batch.targets.to(device), state)
            pieces.append(log_probs[:, 0].double().cpu())
    return torch.cat(pieces)
