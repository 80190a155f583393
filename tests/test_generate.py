"""Sampling and search against enumeration."""

import itertools
import math

import pytest
import torch

from lmtutor.models.ngram import NGramLM
from lmtutor.scoring import sampling
from lmtutor.scoring.sampling import filter_log_probs, generate, repetition
from lmtutor.scoring.score import score_text
from lmtutor.system.errors import LMTutorError
from lmtutor.text.tokenizers import Characters, Words
from lmtutor.text.vocabulary import Vocabulary
from tests.helpers import tiny_corpus, tiny_model

P = torch.tensor([0.5, 0.25, 0.15, 0.07, 0.03]).log()


@pytest.mark.parametrize("top_p, kept", [(0.4, 1), (0.5, 1), (0.51, 2), (0.75, 2), (0.8, 3), (1.0, 5)])
def test_top_p_keeps_the_smallest_set_that_reaches_p(top_p, kept):
    cut = filter_log_probs(P.double(), top_p=top_p)
    assert cut.isfinite().tolist() == [i < kept for i in range(5)]
    assert cut.exp().sum() == pytest.approx(1)
    assert cut[0] - math.log(0.5 / P[:kept].exp().sum()) == pytest.approx(0, abs=1e-6)


def test_top_k_and_temperature():
    assert filter_log_probs(P, top_k=2).isfinite().sum() == 2
    torch.testing.assert_close(
        filter_log_probs(P, temperature=0.5).exp(), (P.exp() ** 2 / (P.exp() ** 2).sum()).double()
    )


def test_samples_follow_the_distribution():
    corpus = tiny_corpus()
    model = NGramLM(order=1, smoothing="mle").fit(corpus.train, 10)
    text = generate(model, corpus.vocab, "a", 4000, seed=3).replace("\n", " <eos> ").split()[1:]
    for token in "bdh":
        share = text.count(token) / len(text)
        true = float((corpus.train == corpus.vocab[token]).double().mean())
        assert abs(share - true) < 4 * math.sqrt(true * (1 - true) / 4000)


def test_greedy_takes_the_likeliest_each_time():
    corpus, model = tiny_corpus(), tiny_model().eval()
    ids = corpus.vocab.encode("a b".split()).tolist()
    for _ in range(6):
        row, _ = model.next_log_probs(torch.tensor(ids)[:, None], model.initial_state(1))
        row[0, 0] = -math.inf  # <unk>
        ids.append(int(row[0].argmax()))
    assert generate(model, corpus.vocab, "a b", 6, temperature=0) == corpus.vocab.decode_text(ids)


@pytest.mark.parametrize("make", [lambda c: tiny_model(), lambda c: NGramLM(order=3).fit(c.train, 10)])
def test_a_wide_beam_finds_the_likeliest_continuation(make):
    corpus = tiny_corpus()
    model = make(corpus)
    start = corpus.vocab.encode(["a"])

    def log_prob(path):
        ids = torch.cat([start, torch.tensor(path)])
        return float(model.target_log_probs(ids[:-1, None], ids[1:, None], model.initial_state(1))[0].double().sum())

    best = max(itertools.product(range(1, 10), repeat=3), key=log_prob)
    found = generate(model, corpus.vocab, "a", 3, beam=81)
    assert found == corpus.vocab.decode_text(torch.cat([start, torch.tensor(best)]))


def test_the_seed_decides_and_unk_is_not_drawn():
    corpus, model = tiny_corpus(), tiny_model()
    texts = [generate(model, corpus.vocab, "", 60, seed=s, temperature=2.0) for s in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert "<unk>" not in "".join(texts)
    assert "<unk>" in generate(model, corpus.vocab, "", 200, seed=1, temperature=5.0, unk=True)


@pytest.mark.parametrize(
    "bad",
    [
        *(dict(tokens=-1), dict(temperature=-1.0), dict(temperature=math.nan), dict(top_k=0), dict(top_p=0.0)),
        *(dict(beam=0), dict(sentences=0), dict(samples=0), dict(samples=2, beam=2)),
    ],
)
def test_settings_without_a_meaning(bad):
    with pytest.raises(LMTutorError, match=next(iter(bad))):
        generate(tiny_model(), tiny_corpus().vocab, "a", **bad)


@pytest.mark.parametrize("types", [7, 10, 11, 49])
def test_top_p_bears_rounding(types):
    """Of equal types the smallest set that reaches k shares is k of them, however k shares are rounded."""
    row = torch.full((types,), 1 / types).log()
    for k in range(1, types + 1):
        assert filter_log_probs(row, top_p=k / types).isfinite().sum() == k
    assert filter_log_probs(row, top_p=1e-9).isfinite().sum() == 1
    rare = torch.tensor([1 - 1e-7, 1e-7], dtype=torch.float64).log()
    assert filter_log_probs(rare, top_p=1.0).isfinite().all()  # 1 cuts nothing


@pytest.mark.parametrize("end", ["<eos>", "\n"])
def test_without_a_prompt_a_text_begins_as_after_the_end_of_a_line(end):
    """Also where lines end in a character of the vocabulary, and the first id is another's."""
    written = ["<eos>"] if end == "\n" else []  # as a text about language models may have it: it ends no line
    vocab = Vocabulary([" ", "a", "b", end, *written], Characters() if end == "\n" else Words())
    ids = torch.tensor([3, 1, 0, 2] * 50)  # after a line end an a, after a blank a b
    model = NGramLM(order=2, smoothing="mle").fit(ids, len(vocab))
    assert generate(model, vocab, "", 1, seed=1) == "a"
    table = score_text(model, vocab, "a")
    assert list(table["token"]) == ["a"] and table["log_probability"].tolist() == [0.0]
    if end == "\n":  # a prompt and a text are read as a file of them would be
        assert generate(model, vocab, "\ufeffa b\r\n", 1, seed=1) == "a b\na"
        assert list(score_text(model, vocab, "\ufeffa\r\na")["token"]) == ["a", "\n", "a"]


@pytest.mark.parametrize("make", [lambda c: tiny_model(), lambda c: NGramLM(order=3).fit(c.train, 10)])
@pytest.mark.parametrize("choices", [dict(), dict(top_k=4, temperature=2.0), dict(top_p=0.6), dict(sentences=2)])
def test_many_samples_are_those_drawn_one_by_one(make, choices, monkeypatch):
    monkeypatch.setattr(sampling, "AT_ONCE", 4)
    corpus = tiny_corpus()
    model = make(corpus)
    together = generate(model, corpus.vocab, "a", 20, samples=10, seed=5, **choices)
    alone = [generate(model, corpus.vocab, "a", 20, seed=seed, **choices) for seed in range(5, 15)]
    assert together == alone and len(set(together)) > 5


@pytest.mark.parametrize("end", ["<eos>", "\n"])
def test_a_sample_ends_after_so_many_sentences(end):
    """An end with nothing before it ends no sentence, whether in the prompt or drawn."""
    vocab = Vocabulary(["a", "b", end], Characters() if end == "\n" else Words())
    ids = torch.tensor([0, 1, 2, 2] * 50)  # a b end end
    model = NGramLM(order=3, smoothing="mle").fit(ids, 3)
    blank = "" if end == "\n" else " "
    texts = [generate(model, vocab, f"a{blank}b", 40, sentences=n, seed=1) for n in (1, 2, 3)]
    assert texts == ["\n\n".join([f"a{blank}b"] * n) for n in (1, 2, 3)]
    assert generate(model, vocab, f"a{blank}b\n", 40, sentences=1, seed=1) == "\n\n".join([f"a{blank}b"] * 2)
    assert generate(model, vocab, "a", 2, sentences=9, seed=1) == f"a{blank}b\n"  # tokens are the most
    with pytest.raises(LMTutorError, match="neither <eos> nor a line feed"):
        generate(tiny_model(vocab=2), Vocabulary(["a", "b"]), "a", sentences=1)


def test_repetition_is_the_share_of_runs_seen_before():
    assert repetition("a b c d e f g") == 0 == repetition("a b c")
    assert repetition("a b c d a b c d e") == pytest.approx(1 / 6)  # abcd bcda cdab dabc abcd bcde
    assert repetition("a " * 104) == pytest.approx(1 - 1 / 101)
