"""One way to score a text, for every model of the package."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from lmtutor.models.base import Scorer, device_of, eval_mode
from lmtutor.models.heads import IGNORED
from lmtutor.system.errors import Diverged, LMTutorError
from lmtutor.system.machine import keep_freed_memory
from lmtutor.text.batches import Batch

STREAM_PROTOCOL = "batch 1, state carried over the whole text, every token scored except the very first"
SAMPLES_PROTOCOL = "each sample from a fresh state, every token scored once"
STRETCH = 1024  # tokens read at a time; the figure is the same for any, only the memory differs


@dataclass(frozen=True)
class Score:
    """Total surprisal of a text and the counts that it covers; everything else is derived."""

    nats: float  # sum of −ln p over the scored tokens
    tokens: int  # scored tokens
    characters: int | None = None  # of the raw text, where known
    protocol: str = STREAM_PROTOCOL

    @property
    def nats_per_token(self) -> float:
        """Cross-entropy, nats a token."""
        return self.nats / self.tokens

    @property
    def bits_per_token(self) -> float:
        """Cross-entropy, bits a token."""
        return self.nats_per_token / math.log(2)

    @property
    def perplexity(self) -> float:
        """exp of the cross-entropy; infinite where that overflows or a token had probability zero."""
        return math.inf if self.nats_per_token > 700 else math.exp(self.nats_per_token)

    @property
    def nats_per_character(self) -> float | None:
        """Nats a character of the raw text, comparable across tokenisations; None without the raw text."""
        return self.nats / self.characters if self.characters else None

    @property
    def bits_per_character(self) -> float | None:
        """Bits a character of the raw text. None without the raw text."""
        return self.nats / self.characters / math.log(2) if self.characters else None

    def __str__(self) -> str:
        text = f"perplexity {self.perplexity:.2f} ({self.nats_per_token:.4f} nats a token, {self.tokens:,} tokens"
        if self.characters:
            text += f"; {self.nats_per_character:.4f} nats a character"
        return text + ")"


def stretches(ids: Tensor, stretch: int = STRETCH) -> Iterable[Batch]:
    """One column of consecutive pieces, the state carried: how a whole text is read at batch 1."""
    inputs, targets = ids[:-1, None], ids[1:, None]
    for start in range(0, len(inputs), stretch):
        yield Batch(inputs[start : start + stretch], targets[start : start + stretch], start > 0)


@torch.no_grad()
def evaluate(model: Scorer, text: Tensor | Iterable[Batch], *, characters: int | None = None) -> Score:
    """Score a text.

    Parameters
    ----------
    model : any model of the package (torch, n-gram, with a neural cache).
    text : ids ``(N,)``, read as one stream at batch 1; or batches from `lmtutor.text.batches` (samples, windows).
    characters : characters of the raw text, for `Score.nats_per_character`.

    Raises
    ------
    LMTutorError : fewer than two tokens, or ids outside the model's vocabulary.
    Diverged : a log-probability is NaN.
    """
    keep_freed_memory()
    stream = isinstance(text, Tensor)
    if stream:
        check_ids(model, text)
        text = stretches(text)
    device, state, nats, tokens = device_of(model), None, 0.0, 0
    with eval_mode(model):
        for batch in text:
            if not batch.carry or state is None:
                state = model.initial_state(batch.inputs.shape[1])
            log_probs, state = model.target_log_probs(batch.inputs.to(device), batch.targets.to(device), state)
            nats -= float(log_probs.double().sum())
            tokens += int((batch.targets != IGNORED).sum())
    if math.isnan(nats):
        raise Diverged("The model's probabilities are not numbers (NaN): its training diverged, or it is damaged.")
    if tokens == 0:
        raise LMTutorError("The text has no token to score: the first token of a text is only read.")
    protocol = STREAM_PROTOCOL if stream else SAMPLES_PROTOCOL
    return Score(nats, tokens, characters, f"{protocol}; {model.protocol}" if model.protocol else protocol)


def check_ids(model: Scorer, ids: Tensor) -> None:
    """Raise `LMTutorError` unless `ids` is a text of at least two tokens within the model's vocabulary."""
    if ids.dim() != 1 or len(ids) < 2:
        raise LMTutorError(f"Scoring needs one row of at least 2 token ids; this one has shape {tuple(ids.shape)}.")
    if int(ids.max()) >= model.vocab_size or int(ids.min()) < 0:
        raise LMTutorError(
            f"The text has ids up to {int(ids.max())}, the model a vocabulary of {model.vocab_size}: "
            "load the corpus with the model's vocabulary, load_corpus(…, vocab=vocab)."
        )


def check_vocabulary(model: Scorer, vocab) -> None:
    """Raise `LMTutorError` unless a model and a vocabulary have as many types."""
    if model.vocab_size != len(vocab):
        raise LMTutorError(
            f"The model has {model.vocab_size} types, the vocabulary {len(vocab)}: take the one that the model was "
            "trained with."
        )


def score_text(model: Scorer, vocab, text: str) -> pd.DataFrame:
    """The log-probability of each token of a text, read on from an end of sentence.

    Returns
    -------
    DataFrame
        Columns ``token`` (as written), ``type`` (what the model read, ``<unk>`` for an unknown word) and
        ``log_probability`` (nats).
    """
    check_vocabulary(model, vocab)
    tokens = vocab.tokenizer.tokenize(text)
    if not tokens:
        raise LMTutorError("There is no text to score: give at least one token.")
    ids = vocab.encode(tokens)
    start = vocab.eos_id
    if start is None and len(ids) < 2:
        raise LMTutorError("Without an <eos> in the vocabulary the first token is only read: give at least two.")
    read = ids if start is None else torch.cat([torch.tensor([start]), ids])
    pieces, state = [], model.initial_state(1)
    with eval_mode(model), torch.no_grad():
        device = device_of(model)
        for piece in stretches(read):
            log_probs, state = model.target_log_probs(piece.inputs.to(device), piece.targets.to(device), state)
            pieces.append(log_probs[:, 0].double().cpu())
    scored = tokens if start is not None else tokens[1:]
    types = vocab.decode(read[1:].tolist())
    return pd.DataFrame({"token": scored, "type": types, "log_probability": torch.cat(pieces).tolist()})
