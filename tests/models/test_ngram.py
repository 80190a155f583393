"""The n-gram models against nltk, against a dictionary-and-loop reference, and on the Penn Treebank."""

import os
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lmtutor.models.ngram import NGramLM
from lmtutor.system.errors import LMTutorError
from lmtutor.text.corpora import load_corpus
from tests.benchmarks.sentence_starts import count, perplexity

TEXT = (
    "the detective saw the dog . the dog saw the detective and the lady . the lady saw a cat and the cat saw "
    "the dog . a dog saw a lady . the lady and the detective saw the cat . the detective saw the dog . "
).split()
NAMES = sorted(set(TEXT))
V = len(NAMES)
IDS = np.array([NAMES.index(w) for w in TEXT])
STOP = NAMES.index(".")


def reference(ids, order, vocab_size, modified=False, add_k=None, boundary=None):
    """Return p(word, history) by dictionaries, loops and the formulas of the textbook."""
    ids = [int(i) for i in ids]

    def grams(k):
        """Every k-gram in text order, without those that reach back past a sentence start."""
        spans = (tuple(ids[i - k + 1 : i + 1]) for i in range(k - 1, len(ids)))
        return [g for g in spans if boundary is None or boundary not in g[1:-1]]

    counts = {k: Counter(grams(k)) for k in range(1, order + 1)}
    used = {order: counts[order]}
    for k in range(1, order):
        longer = Counter(g[1:] for g in counts[k + 1])
        used[k] = Counter({g: counts[k][g] if k > 1 and g[0] == boundary else longer[g] for g in counts[k]})
    discount = {}
    for k in used:
        n = [max(1, sum(c == j for c in used[k].values())) for j in (1, 2, 3, 4)]
        y = n[0] / (n[0] + 2 * n[1])
        three = [j - (j + 1) * y * n[j] / n[j - 1] for j in (1, 2, 3)]
        three = [d if d > 0 else y for d in three]
        discount[k] = [0, *three] if modified else [0, y, y, y]
    followers = defaultdict(list)
    for k in used:
        for g in used[k]:
            followers[g[:-1]].append(g[-1])

    def p(word, history):
        history = tuple(history)[max(0, len(history) - order + 1) :]
        if boundary is not None and boundary in history[1:]:
            return p(word, history[1:])
        k = len(history) + 1
        if add_k is not None:
            total = sum(counts[k][history + (w,)] for w in followers[history])
            return (counts[k][history + (word,)] + add_k) / (total + add_k * vocab_size)
        lower = p(word, history[1:]) if history else 1 / vocab_size
        seen = [used[k][history + (w,)] for w in followers[history]]
        if sum(seen) == 0:
            return lower
        c = used[k][history + (word,)]
        left = sum(discount[k][min(x, 3)] for x in seen)
        return (c - discount[k][min(c, 3)] + left * lower) / sum(seen)

    return p


def scored_by(p, ids):
    return np.log([p(int(ids[i]), [int(x) for x in ids[:i]]) for i in range(1, len(ids))])


def shuffled(seed=0):
    """A test text with seen and unseen histories of every length."""
    return np.random.default_rng(seed).permutation(IDS)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("modified", [False, True])
@pytest.mark.parametrize("boundary", [None, STOP])
def test_kneser_ney_equals_the_textbook(order, modified, boundary):
    model = NGramLM(order, "modified-kneser-ney" if modified else "kneser-ney", boundary=boundary).fit(IDS, V)
    p = reference(IDS, order, V, modified=modified, boundary=boundary)
    for text in (IDS, shuffled()):
        np.testing.assert_allclose(model.score(text), scored_by(p, text), atol=1e-12)


@pytest.mark.parametrize("order", [1, 3])
def test_add_k_equals_the_formula(order):
    model = NGramLM(order, "add-k", k=0.3).fit(IDS, V)
    p = reference(IDS, order, V, add_k=0.3)
    np.testing.assert_allclose(model.score(shuffled()), scored_by(p, shuffled()), atol=1e-12)


def test_mle_is_relative_frequency_and_falls_to_the_longest_seen_history():
    model = NGramLM(3, "mle", k=0).fit(IDS, V)  # k is of add-k alone
    text = np.array([NAMES.index(w) for w in "the dog saw the".split()])
    the_dog = TEXT.count("dog") / TEXT.count("the")
    bigrams = Counter(zip(TEXT, TEXT[1:], strict=False))
    trigrams = Counter(zip(TEXT, TEXT[1:], TEXT[2:], strict=False))
    expected = [
        bigrams["the", "dog"] / TEXT.count("the"),
        trigrams["the", "dog", "saw"] / bigrams["the", "dog"],
        trigrams["dog", "saw", "the"] / bigrams["dog", "saw"],
    ]
    assert the_dog != expected[0]  # "a dog" exists too
    np.testing.assert_allclose(np.exp(model.score(text)), expected)
    never_seen = torch.tensor([[NAMES.index("dog")], [NAMES.index("dog")], [NAMES.index("saw")]])
    log_p, _ = model.next_log_probs(never_seen, None)
    assert log_p.exp().sum().item() == pytest.approx(1)
    assert log_p[0, NAMES.index("and")].item() == -np.inf


@pytest.mark.parametrize("order", [2, 3, 4])
def test_kneser_ney_agrees_with_nltk(order):
    """nltk's interpolated Kneser-Ney, to 1e-9.

    What was made equal. (1) nltk keeps one fixed discount for all orders and gives unigrams their
    undiscounted continuation frequency, without 1/V: `discount=[0, d, d, …]` says the same here. (2) nltk
    counts the followers of a lower-order history from all its occurrences, here only k-grams with something
    before them count: the two differ at the first tokens of the text alone, so the text is closed to a ring
    by repeating its first n − 1 tokens. (3) nltk adds `<UNK>` to the vocabulary; without padding and without
    unknown words it never matters.
    """
    from nltk.lm import KneserNeyInterpolated
    from nltk.util import everygrams

    ring = np.concatenate([IDS, IDS[: order - 1]])
    words = [NAMES[i] for i in ring]
    theirs = KneserNeyInterpolated(order, discount=0.4)
    theirs.fit([list(everygrams(words, max_len=order))], words)
    ours = NGramLM(order, discount=[0.0] + [0.4] * (order - 1)).fit(ring, V)
    for text in (IDS, shuffled(1)):
        names = [NAMES[i] for i in text]
        histories = [tuple(names[max(0, i - order + 1) : i]) for i in range(1, len(names))]
        expected = [theirs.score(w, h) for w, h in zip(names[1:], histories, strict=True)]
        np.testing.assert_allclose(np.exp(ours.score(text)), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("order", [1, 4])
@pytest.mark.parametrize("smoothing", ["mle", "add-k", "kneser-ney", "modified-kneser-ney"])
@pytest.mark.parametrize("boundary", [None, STOP])
def test_next_word_probabilities_sum_to_one_and_agree_with_scores(order, smoothing, boundary):
    model = NGramLM(order, smoothing, k=0.1, boundary=boundary).fit(IDS, V)
    text = torch.tensor(np.stack([IDS, shuffled()], axis=1))
    state, scores = model.initial_state(2), []
    for t in range(len(text) - 1):
        log_p, state = model.next_log_probs(text[t : t + 1], state)
        np.testing.assert_allclose(log_p.exp().sum(1), 1, atol=1e-12)
        scores.append(log_p.gather(1, text[t + 1][:, None])[:, 0])
    expected = np.stack([model.score(text[:, 0]), model.score(text[:, 1])], axis=1)
    np.testing.assert_allclose(torch.stack(scores), expected, atol=1e-12)


def test_chunks_with_state_equal_one_pass():
    model = NGramLM(4).fit(IDS, V)
    text = torch.tensor(np.stack([IDS, shuffled()], axis=1))
    state, parts = None, []
    for lo in range(0, len(text) - 1, 5):
        hi = min(lo + 5, len(text) - 1)
        log_p, state = model.target_log_probs(text[lo:hi], text[lo + 1 : hi + 1], state)
        parts.append(log_p)
    expected = np.stack([model.score(text[:, 0]), model.score(text[:, 1])], axis=1)
    np.testing.assert_allclose(torch.cat(parts), expected, atol=1e-12)
    assert state[..., 0].tolist() == text[-4:-1].tolist()


def test_targets_need_not_be_the_text_and_minus_100_is_not_scored():
    model = NGramLM(3).fit(IDS, V)
    text = torch.tensor(IDS[:6])[:, None]
    targets = torch.tensor([0, 1, -100, 2, 3, 4])[:, None]
    log_p, _ = model.target_log_probs(text, targets, None)
    for t, target in enumerate(targets[:, 0].tolist()):
        expected = 0.0 if target < 0 else model.next_log_probs(text[: t + 1], None)[0][0, target].item()
        assert log_p[t, 0].item() == pytest.approx(expected, abs=1e-12)


def test_cut_offs_forget_rare_ngrams_and_keep_the_sum():
    model = NGramLM(3, "modified-kneser-ney", min_counts=(1, 1, 2)).fit(IDS, V)
    log_p, _ = model.next_log_probs(torch.tensor(IDS[:2])[:, None], None)
    assert log_p.exp().sum().item() == pytest.approx(1)
    bigram_table = NGramLM(3, "modified-kneser-ney", min_counts=(1, 1, 99)).fit(IDS, V)
    p = reference(IDS, 3, V, modified=True)
    words = [int(w) for w in IDS[:3]]
    # With every trigram forgotten the bigram level alone remains.
    assert np.exp(bigram_table.score(IDS[:3])[1]) == pytest.approx(p(words[2], words[1:2]))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: NGramLM(0), "order must be an integer of at least 1"),
        (lambda: NGramLM(3, "knesser-ney"), "kneser-ney"),
        (lambda: NGramLM(3, "add-k", k=0), "k must be a positive number"),
        (lambda: NGramLM(3, discount=[0.5]), "discount needs 1 or 3"),
        (lambda: NGramLM(3).fit([], 4), "empty"),
        (lambda: NGramLM(3).fit([1, 2], 4), "fewer than the order"),
        (lambda: NGramLM(3).fit([1, 2, 3, 4], 4), "outside"),
        (lambda: NGramLM(3).score([1, 2]), "fit"),
    ],
)
def test_bad_input_is_told_in_one_line(make, says):
    with pytest.raises(LMTutorError, match=says) as error:
        make()
    assert "\n" not in str(error.value)


PTB = Path(os.environ.get("LMTUTOR_DATA", "")) / "ptb"


@pytest.mark.skipif(not (PTB / "train.txt").is_file(), reason="needs the Penn Treebank in LMTUTOR_DATA")
def test_penn_treebank_perplexities():
    """Order 5, every test token but the first scored, history across line ends; then sentence starts.

    The toolkit figure of Mikolov's tables is 141.2; the last line comes closest to what the toolkit does.
    """
    text = [(PTB / f"{split}.txt").read_text(encoding="utf-8") for split in ("train", "test")]
    words = [t.replace("\n", " <eos> ").split() for t in text]
    number = {w: i for i, w in enumerate(dict.fromkeys(words[0]))}
    train, test = (np.array([number[w] for w in ws]) for ws in words)

    def scored(smoothing, **options):
        return np.exp(-NGramLM(5, smoothing, **options).fit(train, len(number)).score(test).mean())

    assert scored("kneser-ney") == pytest.approx(143.66, abs=0.01)
    assert scored("modified-kneser-ney") == pytest.approx(141.06, abs=0.01)
    assert scored("modified-kneser-ney", boundary=number["<eos>"]) == pytest.approx(141.18, abs=0.01)


@pytest.mark.parametrize("modified", [False, True])
def test_a_second_program_agrees_where_histories_begin_at_the_sentence(modified):
    corpus = load_corpus("baker-street", tokens=4_000)
    end, ids = corpus.vocab.eos_id, [corpus.train.tolist(), corpus.test.tolist()]
    padded = [np.array([end, *split]) for split in ids]  # the line before the first ends here
    smoothing = "modified-kneser-ney" if modified else "kneser-ney"
    model = NGramLM(4, smoothing, boundary=end).fit(padded[0], len(corpus.vocab))
    lines = [
        [part.tolist() for part in np.split(split[1:], np.flatnonzero(split[1:-1] == end) + 1)] for split in padded
    ]
    theirs, tokens = perplexity(count(lines[0], 4, 1, True), lines[1], len(corpus.vocab), 1, modified)
    assert tokens == len(ids[1])
    assert np.exp(-model.score(padded[1]).mean()) == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("smoothing", ["kneser-ney", "modified-kneser-ney"])
@given(
    piece=st.lists(st.integers(0, 6), min_size=2, max_size=30),
    times=st.integers(1, 6),
    order=st.integers(1, 4),
    boundary=st.sampled_from([None, 0]),
)
@example(piece=[0, 1, 2, 3, 0, 4, 5], times=4, order=2, boundary=None)  # the cat sat on the mat, four times
@example(piece=[0, 0], times=2, order=4, boundary=0)  # sentence ends alone
@settings(max_examples=25)
def test_every_word_stays_possible_whatever_the_text(smoothing, piece, times, order, boundary):
    """A text pasted several times has no n-gram that was seen once: its estimated discounts leave the range."""
    text = piece * times
    model = NGramLM(min(order, len(text)), smoothing, boundary=boundary).fit(text, 7)
    for history in ([0], [1, 6], [5, 0, 2], text):
        log_p, _ = model.next_log_probs(torch.tensor(history)[:, None], None)
        assert log_p.isfinite().all()
        assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-12)
