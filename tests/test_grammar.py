"""The embedded corpus: its entropy against samples and against brute force, its true model against itself."""

import itertools
import math
import random

import numpy as np
import pytest

from lmtutor.baker_street import rules as baker_street
from lmtutor.baker_street import truth as grammar
from lmtutor.baker_street.pcfg import Grammar, Pool
from lmtutor.baker_street.truth import (
    Reader,
    baker_street_corpus,
    baker_street_entropy,
    next_token_probs,
    true_log_probs,
)
from lmtutor.system.errors import LMTutorError
from tests.grammar_proofs import prove

POOLS = [("hero friend", "Anna Ben Cleo"), ("thing", "pearls ring")]
FORMS = {"he": ("he", "she"), "was": ("was", "were")}
SECOND = frozenset({"Anna", "Cleo", "pearls"})
RULES = """
STORY = +hero FOUND the +thing . <eos> +friend SAID . END
# a parameter, a list, an empty alternative, left factoring, a choice between registers
FOUND = 3 found WHERE | found LUCK:hero | lost WHERE
LUCK:x = that @x.he had
WHERE = 2 _ | at home
SAID ~ smiled wept
END = WHO knew : the @thing @thing.was gone <eos> | the end <eos>
WHO = 5 @hero | 2 @friend
"""


@pytest.fixture(scope="module")
def tiny() -> Grammar:
    return Grammar(RULES, POOLS, FORMS, SECOND)


@pytest.fixture(scope="module")
def million() -> tuple[list[str], np.ndarray]:
    tokens = grammar.sample_stories(1_000_000, seed=3)
    return tokens, true_log_probs(tokens)


def all_stories(g: Grammar) -> dict[tuple[str, ...], float]:
    """Every string that the reader gives a positive probability, found by walking its own distributions."""
    done, open_ = {}, [((), 1.0)]
    while open_:
        prefix, p = open_.pop()
        reader = Reader(g)
        for token in prefix:
            reader.read(token)
        if prefix and not reader.stack:
            done[prefix] = p
            continue
        open_ += [((*prefix, token), p * q) for token, q in reader.next_probs().items()]
    return done


def test_entropy_and_length_of_a_tiny_grammar_equal_the_sum_over_all_its_stories(tiny):
    stories = all_stories(tiny)
    assert sum(stories.values()) == pytest.approx(1, abs=1e-12)
    nats, tokens = tiny.expectations()
    assert nats == pytest.approx(-sum(p * math.log(p) for p in stories.values()), abs=1e-12)
    assert tokens == pytest.approx(sum(p * len(story) for story, p in stories.items()), abs=1e-12)


def test_tiny_stories_are_drawn_as_often_as_the_reader_says(tiny):
    stories, n, rng = all_stories(tiny), 20_000, random.Random(1)
    counts = dict.fromkeys(stories, 0)
    for _ in range(n):
        counts[tuple(tiny.story(rng))] += 1
    chi2 = sum((counts[s] - n * p) ** 2 / (n * p) for s, p in stories.items())
    assert chi2 < len(stories) + 5 * math.sqrt(2 * len(stories))


def test_a_story_of_the_tiny_grammar_by_hand(tiny):
    reader = Reader(tiny)
    story = "Anna found that she had the pearls . <eos> Ben wept . Anna knew : the pearls were gone <eos>".split()
    p = math.exp(sum(map(reader.read, story)))
    w = np.arange(1, 4) ** -0.75 / (np.arange(1, 4) ** -0.75).sum()
    pearls = 1 / (1 + 2**-0.75)
    assert p == pytest.approx(w[0] * 1 / 5 * pearls * (w[1] / (1 - w[0])) * (2**-0.5 / (1 + 2**-0.5)) * 1 / 2 * 5 / 7)


@pytest.mark.parametrize(("n", "k"), [(5, 1), (5, 2), (5, 4), (4, 4)])
def test_entropy_of_draws_without_repetition_equals_brute_force(n, k):
    pool = Pool([str(i) for i in range(k)], [f"w{i}" for i in range(n)])
    entropy = 0.0
    for order in itertools.permutations(range(n), k):
        p, left = 1.0, 1.0
        for i in order:
            p, left = p * pool.probs[i] / left, left - pool.probs[i]
        entropy -= p * math.log(p)
    assert pool.entropy() == pytest.approx(entropy, abs=1e-10)


def test_a_million_tokens_agree_with_the_exact_entropy(million):
    tokens, log_probs = million
    starts = [i for i in range(len(tokens)) if tokens[i : i + 2] == ["The", "adventure"]]
    nats = -np.add.reduceat(log_probs, starts)
    lengths = np.diff([*starts, len(tokens)])
    # of a ratio of two sums over independent stories: residuals have mean 0 if the entropy rate is right
    residuals = nats - baker_street_entropy() * lengths
    error = np.sqrt((residuals**2).sum()) / len(tokens)
    assert error < 0.01
    assert abs(residuals.sum() / len(tokens)) < 4 * error
    story_nats, story_tokens = grammar.baker_street_grammar().expectations()
    for sample, exact in ((nats, story_nats), (lengths, story_tokens)):
        assert abs(sample.mean() - exact) < 4 * sample.std() / math.sqrt(len(starts))


def test_every_token_is_possible_and_no_probability_exceeds_one(million):
    _, log_probs = million
    assert np.isfinite(log_probs).all() and log_probs.max() <= 1e-12


def test_next_token_distributions_sum_to_one_and_hold_the_probability_of_what_came():
    tokens = grammar.sample_stories(2_000, seed=11)
    log_probs = true_log_probs(tokens)
    reader = Reader(grammar.baker_street_grammar())
    for token, log_prob in zip(tokens, log_probs, strict=True):
        probs = reader.next_probs()
        assert sum(probs.values()) == pytest.approx(1, abs=1e-9)
        assert probs[token] == pytest.approx(math.exp(log_prob), rel=1e-9)
        reader.read(token)
    assert next_token_probs(tokens)["The"] == pytest.approx(1)  # every story begins so


def test_what_is_written_again_is_certain_and_what_agrees_too():
    opening = "The adventure of the silver pearls <eos>".split()
    story = [
        *opening,
        *"It was a cold night in May , and Wren was playing chess . Miss Pell came in . <eos>".split(),
        *"“ The pearls were in the study of Ashcombe Hall at ten , and now".split(),
    ]
    assert next_token_probs(story) == pytest.approx({"they": 1})
    assert next_token_probs([*story, "they"]) == pytest.approx({"are": 1})


def test_the_evidence_betrays_the_culprit(million):
    tokens, _ = million
    text = " ".join(tokens)
    solved = 0
    for story in text.split("The adventure of the ")[1:]:
        culprit = story.split(" It belonged to ")[1].split()[0]
        if "It was " in (end := story.split(" sent for everyone . ")[1]).split("<eos>")[0]:
            solved += f"“ It was {culprit} . ”" in end
        else:
            solved += f"{culprit} , ” " in end.split("<eos>")[0]
    assert solved == text.count("The adventure of the ")


def test_the_text_is_clean(million):
    tokens, _ = million
    assert 500 <= len(set(tokens)) <= 2_000
    for line in " ".join(tokens).split("<eos>"):
        depth = [1 if t == "“" else -1 for t in line.split() if t in "“”"]
        assert depth == [1, -1] * (len(depth) // 2)
    assert not [w for a, w in itertools.pairwise(tokens) if a in ("a", "A") and w[0] in "aeiouAEIOU"]


def test_a_corpus_is_whole_stories_from_a_seed():
    corpus = baker_street_corpus(tokens=20_000, seed=5)
    assert len(corpus.train) >= 20_000 and len(corpus.valid) >= 2_000 and len(corpus.test) >= 2_000
    for split in corpus[:3]:
        assert split[:2] == ["The", "adventure"] and split[-1] == "<eos>"
        true_log_probs(split)
        assert next_token_probs(split) == pytest.approx({"The": 1})
    assert corpus == baker_street_corpus(tokens=20_000, seed=5)
    assert corpus.valid != baker_street_corpus(tokens=20_000, seed=6).valid
    longer = baker_street_corpus(tokens=30_000, seed=5)
    assert longer.train[: len(corpus.train)] == corpus.train
    assert corpus.entropy == baker_street_entropy()


def test_the_corpus_does_not_change_unnoticed():
    assert " ".join(grammar.sample_stories(1, seed=0)[:19]) == (
        "The adventure of the broken diamonds <eos> It was a wild night in May , and Hawke and I"
    )


def test_floor_is_far_below_a_unigram_model(million):
    tokens, _ = million
    shares = np.unique(tokens, return_counts=True)[1] / len(tokens)
    unigram = -(shares * np.log(shares)).sum()
    assert math.exp(baker_street_entropy()) < 10 < 200 < math.exp(unigram)


def test_an_impossible_token_is_named():
    with pytest.raises(LMTutorError, match=r"token 3 \('a'\) cannot follow 'The adventure of'"):
        true_log_probs("The adventure of a".split())
    with pytest.raises(LMTutorError, match="token 0"):
        next_token_probs(["Once"])
    with pytest.raises(LMTutorError, match="0 tokens"):
        grammar.sample_stories(0)


@pytest.mark.parametrize(
    ("rules", "complaint"),
    [
        ("STORY = +hero ONE +friend +thing\nONE = TWO | a b\nTWO = a c | d", "the same token"),
        ("STORY = +hero ONE a +friend +thing\nONE = a | _", "the same token"),  # was the a ONE's?
        ("STORY = ONE +friend +thing\nONE = +hero | Anna", "the same token"),
        ("STORY = +hero ONE +thing\nONE = a +friend | b", "different registers"),
        ("STORY = +hero +thing", "never drawn"),
    ],
)
def test_the_proof_finds_what_makes_a_derivation_ambiguous(rules, complaint):
    with pytest.raises(AssertionError, match=complaint):
        prove(Grammar(rules, POOLS, FORMS, SECOND))


def test_every_story_has_one_derivation(tiny):
    prove(tiny)
    prove(grammar.baker_street_grammar())


def test_a_missing_rule_is_named():
    with pytest.raises(LMTutorError, match="no rule 'MISSING'"):
        Grammar("STORY = +hero +friend +thing MISSING", POOLS, FORMS, SECOND)


def test_no_rule_is_written_twice_or_unused():
    heads = [line.split()[0] for line in baker_street.RULES.splitlines() if line[:2].isupper() and line[:2].isalpha()]
    assert len(heads) == len(set(heads))
