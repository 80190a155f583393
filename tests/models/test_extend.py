"""A model with more words is the old model, with the unknown word's probability shared out."""

import pytest
import torch

from lmtutor.system.errors import LMTutorError
from lmtutor.text.vocabulary import Vocabulary
from lmtutor.training.extend import extend_vocabulary
from tests.helpers import WORDS, tiny_model


@pytest.mark.parametrize("tied", [True, False])
def test_old_words_keep_their_odds_and_new_ones_share_those_of_unk(tied):
    vocab, model = Vocabulary(WORDS), tiny_model(tied=tied).eval()
    with torch.no_grad():
        model.head.bias.normal_()
    larger, words = extend_vocabulary(model, vocab, Vocabulary(["<unk>", "a", "x", "y", "z"]))
    assert words.tokens == [*WORDS, "x", "y", "z"] and not larger.training
    inputs = torch.randint(10, (6, 2), generator=torch.Generator().manual_seed(0))
    before, _ = model.next_log_probs(inputs, model.initial_state(2))
    after, _ = larger.next_log_probs(inputs, larger.initial_state(2))
    odds = before - before[:, 1:2]
    torch.testing.assert_close(after[:, :10] - after[:, 1:2], odds, atol=1e-5, rtol=1e-5)
    shared = after[:, 10:].exp().sum(1) / after[:, 0].exp()
    torch.testing.assert_close(shared, torch.ones(2), atol=1e-5, rtol=1e-5)
    assert (larger.head.weight is larger.embedding.weight) == tied


def test_a_new_word_is_read_as_the_unknown_one_was():
    vocab, model = Vocabulary(WORDS), tiny_model().eval()
    larger, words = extend_vocabulary(model, vocab, Vocabulary(["<unk>", "x"]))
    old, _ = model(vocab.encode(["a", "x", "b"])[:, None], model.initial_state(1))
    new, _ = larger(words.encode(["a", "x", "b"])[:, None], larger.initial_state(1))
    torch.testing.assert_close(new, old)


def test_what_cannot_be_extended():
    with pytest.raises(LMTutorError, match="no <unk>"):
        extend_vocabulary(tiny_model(3), Vocabulary(["a", "b", "c"]), Vocabulary(["d"]))
    model = tiny_model(2000, head="adaptive")
    with pytest.raises(LMTutorError, match="adaptive"):
        extend_vocabulary(model, Vocabulary(["<unk>", *map(str, range(1999))]), Vocabulary(["d"]))
