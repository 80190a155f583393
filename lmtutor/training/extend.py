"""Give a trained model the words of another text."""

import math

import torch

from lmtutor.models.heads import CLUSTERED
from lmtutor.models.registry import build_model
from lmtutor.system.errors import LMTutorError
from lmtutor.text.vocabulary import Vocabulary
from lmtutor.training.checkpoint import model_tensors


@torch.no_grad()
def extend_vocabulary(model, vocab: Vocabulary, words: Vocabulary) -> tuple[torch.nn.Module, Vocabulary]:
    """Add the types of `words` that `vocab` lacks, so that training can continue on another text.

    A new type starts as what it was before, the unknown word: it takes over the vector of ``<unk>``, and its bias
    minus ln n, so that the n new types share out among them the probability that ``<unk>`` has. The model, with its
    old ids for the old types, is otherwise unchanged.

    Returns
    -------
    model, vocab : new ones, of ``len(vocab) + n`` types; the tokenizer is that of `words`.

    Raises
    ------
    LMTutorError : the vocabulary has no ``<unk>`` to begin from, or the head's types are in clusters (adaptive).
    """
    if vocab.unk_id is None:
        raise LMTutorError("The model's vocabulary has no <unk>: there is nothing for new types to begin from.")
    if getattr(model.config, "head", "softmax") in CLUSTERED:
        raise LMTutorError(f"The head {model.config.head} has clusters of fixed sizes: it cannot be extended.")
    new = [token for token in words.tokens if token not in vocab]
    larger = Vocabulary([*vocab.tokens, *new], words.tokenizer)
    extended = build_model(model.config, larger)
    old, wide = model_tensors(model), model_tensors(extended)
    for name, value in wide.items():
        if value.shape == old[name].shape:
            value.copy_(old[name])
            continue
        unknown = old[name][vocab.unk_id].clone()
        if value.dim() == 1:  # the bias
            unknown -= math.log(max(1, len(new)))
        value.copy_(torch.cat([old[name], unknown.expand(len(new), *unknown.shape)]))
    return extended.train(model.training), larger
