"""Each way of cutting a corpus scores every token that it should exactly once, in whatever shape it comes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmtutor.system.errors import LMTutorError
from lmtutor.text.batches import (
    IGNORED,
    Batch,
    documents,
    lay_out,
    sample_batches,
    sentences,
    stream_batches,
    window_batches,
)

# Every token of the corpus is its own position, so that a target says which token it is.
lengths = st.integers(2, 200)
sizes = st.integers(1, 7)
seeds = st.one_of(st.none(), st.integers(0, 5))


def generator(seed):
    return None if seed is None else torch.Generator().manual_seed(seed)


def scored(batches):
    """The targets of all batches that are scored, in order of their ids; inputs are checked on the way."""
    found = []
    for inputs, targets, _ in batches:
        assert inputs.shape == targets.shape and inputs.dtype == targets.dtype == torch.long
        found += targets[targets != IGNORED].tolist()
    return sorted(found)


def test_columns_as_drawn():
    letters = torch.arange(13)
    assert lay_out(letters, 3).tolist() == [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7, 11]]
    assert lay_out(letters, 3).data_ptr() == letters.data_ptr()  # a view


@given(lengths, sizes)
def test_unbatchify_gives_the_corpus_back(length, batch_size):
    ids = torch.arange(length)
    if length < 2 * batch_size:
        with pytest.raises(LMTutorError, match="too few"):
            lay_out(ids, batch_size)
        return
    whole = length // batch_size * batch_size
    assert torch.equal(lay_out(ids, batch_size).t().flatten(), ids[:whole])


@given(lengths, sizes, st.integers(1, 40), st.booleans(), st.integers(0, 9))
def test_stream_scores_each_column_once_and_in_order(length, batch_size, bptt, random_bptt, seed):
    ids = torch.arange(length)
    if length < 2 * batch_size:
        return
    batches = list(stream_batches(ids, batch_size, bptt, generator=generator(seed), random_bptt=random_bptt))
    grid = lay_out(ids, batch_size)
    assert torch.equal(torch.cat([b.inputs for b in batches]), grid[:-1])
    assert torch.equal(torch.cat([b.targets for b in batches]), grid[1:])
    assert [b.carry for b in batches] == [False] + [True] * (len(batches) - 1)
    if not random_bptt:
        assert all(len(b.inputs) == bptt for b in batches[:-1])


def test_random_bptt_is_around_bptt_and_repeats_with_the_seed():
    ids = torch.arange(200_000)

    def drawn(seed):
        return [len(b.inputs) for b in stream_batches(ids, 4, 70, generator=generator(seed), random_bptt=True)]

    lengths = drawn(1)
    assert lengths == drawn(1) != drawn(2)
    long = [n for n in lengths[:-1] if n > 52]
    assert abs(sum(long) / len(long) - 70) < 1  # mean of 0.95 of them
    assert 0.9 < len(long) / len(lengths) < 0.99 and min(lengths[:-1]) >= 5


@given(st.lists(st.integers(0, 5), min_size=2, max_size=120), sizes, st.one_of(st.none(), st.integers(1, 6)), seeds)
def test_sentences_score_every_token_once(kinds, batch_size, bptt, seed):
    # Tokens of kind 0 end a sentence. Ids are doubled positions, odd for <eos>, so that each is unique but <eos> too.
    kinds = torch.tensor(kinds)
    eos, bos = 1000, 1001
    ids = torch.where(kinds == 0, eos, torch.arange(len(kinds)))
    batches = list(
        sample_batches(ids, sentences(ids, eos), batch_size, start=bos, bptt=bptt, generator=generator(seed))
    )
    assert scored(batches) == sorted(ids.tolist())
    for batch in batches:
        assert batch.inputs.shape[1] <= batch_size
        if not batch.carry:
            assert (batch.inputs[0] == bos).all()
        # what is scored after a token is what follows it in the corpus
        for x, y in zip(batch.inputs.flatten().tolist(), batch.targets.flatten().tolist(), strict=True):
            if y != IGNORED and x not in (bos, eos):
                assert ids[x + 1] == y


def test_a_stretch_of_a_long_sample_carries_the_state():
    ids = torch.arange(10)
    batches = list(sample_batches(ids, sentences(ids, -1), 3, start=99, bptt=4))
    assert [b.carry for b in batches] == [False, True, True]
    assert torch.cat([b.inputs for b in batches]).flatten().tolist() == [99, *range(9)]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), sizes, seeds)
def test_documents_score_every_token_but_bos(kinds, batch_size, seed):
    bos = 500
    ids = torch.cat([torch.tensor([bos]), torch.where(torch.tensor(kinds) == 0, bos, torch.arange(len(kinds)))])
    rest = sorted(ids[ids != bos].tolist())
    if not rest:
        with pytest.raises(LMTutorError, match="no sample"):
            list(sample_batches(ids, documents(ids, bos), batch_size, start=bos))
        return
    batches = sample_batches(ids, documents(ids, bos), batch_size, start=bos, generator=generator(seed))
    assert scored(batches) == rest


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_samples_tile_the_corpus(ends):
    ids = torch.tensor(ends).long()
    for found in (sentences(ids, 1), documents(ids, 1)):
        assert found[0, 0] == 0 and found[-1, 1] == len(ids)
        assert torch.equal(found[1:, 0], found[:-1, 1]) and (found[:, 1] > found[:, 0]).all()


@given(lengths, sizes, st.integers(1, 30), st.integers(1, 30), seeds)
def test_windows_score_every_token_but_the_first_once(length, batch_size, window, stride, seed):
    ids = torch.arange(length)
    if stride > window:
        with pytest.raises(LMTutorError, match="skips tokens"):
            list(window_batches(ids, batch_size, window, stride))
        return
    batches = list(window_batches(ids, batch_size, window, stride, generator=generator(seed)))
    assert scored(batches) == list(range(1, length))
    context = window - stride
    for inputs, targets, carry in batches:
        assert not carry and len(inputs) == min(window, length - 1)
        assert (targets - inputs)[targets != IGNORED].eq(1).all()  # the successor, always
        for column, target in zip(inputs.t(), targets.t(), strict=True):
            before = int((target != IGNORED).int().argmax())  # tokens read before the first that is scored
            assert before >= min(context, int(column[before]))


def test_windows_as_drawn():
    (batch,) = window_batches(torch.arange(8), 10, 4, 2)
    assert batch.inputs.t().tolist() == [[0, 1, 2, 3], [2, 3, 4, 5], [3, 4, 5, 6]]
    n = IGNORED
    assert batch.targets.t().tolist() == [[1, 2, 3, 4], [n, n, 5, 6], [n, n, n, 7]]


def test_impossible_shapes_are_named():
    ids = torch.arange(10)
    for call, words in [
        (lambda: lay_out(ids, 0), "batch_size must be an integer of at least 1"),
        (lambda: list(stream_batches(ids, 2, 0)), "bptt must be .*got 0"),
        (lambda: lay_out(ids, 6), "10 tokens are too few for 6 columns.*at most 5"),
        (lambda: list(window_batches(ids, 2, 0)), "window must be .*got 0"),
        (lambda: list(window_batches(ids[:1], 2, 4)), "nothing to predict"),
    ]:
        with pytest.raises(LMTutorError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_batch_carries_unless_told():
    assert Batch(torch.zeros(1, 1), torch.zeros(1, 1)).carry
