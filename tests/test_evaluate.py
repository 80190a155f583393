"""The one protocol: every token but the first, state carried, total nats."""

import math

import pytest
import torch
import torch.nn.functional as F

from lmtutor.models.ngram import NGramLM
from lmtutor.scoring.neural_cache import NeuralCache
from lmtutor.scoring.score import Score, evaluate, score_lines, score_text
from lmtutor.system.errors import LMTutorError
from lmtutor.text.batches import Batch, sample_batches, sentences, stream_batches, window_batches
from lmtutor.text.byte_pairs import BytePairs
from lmtutor.text.tokenizers import Characters, Words
from lmtutor.text.vocabulary import Vocabulary
from lmtutor.training.checkpoint import load_checkpoint, save_checkpoint
from tests.helpers import tiny_corpus, tiny_model


def test_the_score_is_that_of_one_long_forward_pass():
    model, ids = tiny_model().eval(), torch.randint(10, (3000,), generator=torch.Generator().manual_seed(1))
    hidden, _ = model(ids[:-1, None], model.initial_state(1))
    logits = F.linear(hidden[:, 0], model.head.weight, model.head.bias).double()
    expected = F.cross_entropy(logits, ids[1:], reduction="sum").item()
    score = evaluate(model, ids)
    assert score.tokens == 2999
    assert score.nats == pytest.approx(expected, rel=1e-5)


def test_batches_without_carry_start_afresh():
    model, ids = tiny_model().eval(), torch.randint(10, (40,), generator=torch.Generator().manual_seed(1))
    halves = [Batch(p[:-1, None], p[1:, None], carry=False) for p in (ids[:20], ids[20:])]
    expected = sum(evaluate(model, p).nats for p in (ids[:20], ids[20:]))
    score = evaluate(model, halves)
    assert (score.nats, score.tokens) == (pytest.approx(expected), 38)


def test_targets_that_are_not_scored_do_not_count():
    model = tiny_model()
    batch = Batch(torch.tensor([[1], [2]]), torch.tensor([[2], [-100]]), carry=False)
    assert evaluate(model, [batch]).tokens == 1


def test_columns_cost_tokens_and_context():
    # what published batch-10 figures leave out: the tail, and a cold start a column
    corpus, model = tiny_corpus(), tiny_model()
    assert evaluate(model, corpus.train).tokens == len(corpus.train) - 1
    assert evaluate(model, stream_batches(corpus.train, 7, 35)).tokens < len(corpus.train) - 1


def test_dropout_is_off_and_the_mode_comes_back():
    model, ids = tiny_model(dropout=0.5).train(), tiny_corpus().test
    assert evaluate(model, ids).nats == evaluate(model, ids).nats
    assert model.training


def test_a_score_derives_everything_from_nats_and_counts():
    score = Score(nats=3 * math.log(8), tokens=3, characters=9)
    assert score.perplexity == pytest.approx(8)
    assert score.bits_per_token == pytest.approx(3)
    assert score.bits_per_character == pytest.approx(1)
    assert score.nats_per_character == pytest.approx(math.log(8) / 3)
    assert Score(math.inf, 2).perplexity == math.inf
    assert Score(1e6, 2).perplexity == math.inf
    assert Score(1.0, 2).bits_per_character is None
    assert str(score) == "perplexity 8.00 (2.0794 nats per token, 3 tokens; 0.6931 nats or 1.0000 bits per character)"


def test_n_grams_are_scored_by_the_same_call():
    corpus = tiny_corpus()
    model = NGramLM(order=2, smoothing="add-k", k=1.0).fit(corpus.train, 10)
    ids = corpus.test
    counts = torch.ones(10, 10).double()
    counts.index_put_((corpus.train[:-1], corpus.train[1:]), torch.ones(()).double(), accumulate=True)
    expected = -(counts / counts.sum(1, keepdim=True)).log()[ids[:-1], ids[1:]].sum()
    assert evaluate(model, ids).nats == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("ids", [torch.tensor([]), torch.tensor([1]), torch.tensor([1, 99]), torch.tensor([-1, 2])])
def test_texts_that_cannot_be_scored(ids):
    with pytest.raises(LMTutorError):
        evaluate(tiny_model(), ids.long())


def test_score_text_reads_on_from_an_end_of_sentence():
    corpus, model = tiny_corpus(), tiny_model()
    table = score_text(model, corpus.vocab, "a b zebra")
    assert list(table["token"]) == ["a", "b", "zebra"]
    assert list(table["type"]) == ["a", "b", "<unk>"]
    ids = torch.tensor([1, *corpus.vocab.encode(["a", "b", "zebra"])])
    assert -table["log_probability"].sum() == pytest.approx(evaluate(model, ids).nats, rel=1e-6)


def test_byte_pairs_are_shown_as_they_are_written():
    text = "the café — “夜” 𝄞 \ufffd and the fir\nthe <unk> end"
    tokenizer = BytePairs(size=262).fit(["the fir and the end"])
    vocab = Vocabulary.build([], tokenizer)
    table = score_text(tiny_model(vocab=len(vocab)), vocab, text)
    assert "".join(table["token"]).replace("<eos>", "\n") == text
    assert "Ġ" in "".join(table["type"]) and (table["token"] == "é").any()
    pieces = vocab.tokenizer.tokenize(bytes(range(256)).decode("latin-1"))
    read = "".join(tokenizer.written(pieces)).replace("<eos>", "\n")
    assert read == tokenizer.detokenize(pieces), "each byte, as the library reads it"


def test_score_text_of_nothing():
    with pytest.raises(LMTutorError, match="no text"):
        score_text(tiny_model(), tiny_corpus().vocab, "  ")


def test_the_protocol_says_what_was_done():
    ids, model = tiny_corpus().train, tiny_model()
    twenty = evaluate(model, stream_batches(ids, 20, 35))
    assert twenty.protocol.startswith("20 columns, state carried, neither the first token of each nor the tail")
    assert twenty.tokens == len(ids) - 20  # 960 fill the columns
    whole, one = evaluate(model, ids), evaluate(model, stream_batches(ids, 1, 35))
    assert one.protocol == whole.protocol and one.nats == pytest.approx(whole.nats)
    samples = sample_batches(ids, sentences(ids, 1), 5, start=1)
    assert evaluate(model, samples).protocol == "each sample from a fresh state, every token scored once"
    windows = window_batches(ids, 5, window=10, stride=5)
    assert evaluate(model, windows).protocol.endswith("after context that is read but not scored")


def test_a_string_and_a_file_are_scored_whole(tmp_path):
    corpus, model = tiny_corpus(), tiny_model()
    text = "a b zebra\na b c\n"
    ids = corpus.vocab.encode("a b <unk> <eos> a b c <eos>".split())
    (tmp_path / "own.txt").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    for given in (text, tmp_path / "own.txt", str(tmp_path / "own.txt")):
        score = evaluate(model, given, vocab=corpus.vocab)
        assert score.nats == evaluate(model, ids).nats
        assert (score.tokens, score.characters) == (7, len(text))
    with pytest.raises(LMTutorError, match="pass vocab=, the model's"):
        evaluate(model, text)
    save_checkpoint(tmp_path, model, corpus.vocab)
    for knowing in (tiny_model(vocab=corpus.vocab), load_checkpoint(tmp_path)[0]):  # built, or loaded, with its own
        assert evaluate(knowing, text) == evaluate(model, text, vocab=corpus.vocab)
        assert evaluate(NeuralCache(knowing, 5, 0.5, 0.0), text).nats == pytest.approx(evaluate(model, ids).nats)
    with pytest.raises(LMTutorError, match="at least 2 token ids"):
        evaluate(model, "", vocab=corpus.vocab)
    with pytest.raises(LMTutorError, match="no such file"):
        evaluate(model, tmp_path / "missing.txt", vocab=corpus.vocab)
    with pytest.raises(LMTutorError, match="the vocabulary 10"):
        evaluate(tiny_model(vocab=9), text, vocab=corpus.vocab)


@pytest.mark.parametrize("scheme", [Words, Characters])
def test_lines_share_out_what_the_whole_text_costs(scheme):
    model = tiny_model()
    vocab = Vocabulary(["<unk>", "\n" if scheme is Characters else "<eos>", " ", *"abcdefg"], scheme())
    text = "a b z\n\nb a"
    table, whole = score_lines(model, vocab, text), evaluate(model, text, vocab=vocab)
    assert table["line"].tolist() == [1, 2, 3] and table["unknown"].tolist() == [1, 0, 0]
    sizes = [len(vocab.encode_text(line)) for line in ("a b z\n", "\n", "b a")]
    assert table["tokens"].tolist() == [sizes[0] - 1, *sizes[1:]]
    assert table["nats"].sum() == pytest.approx(whole.nats) and table["tokens"].sum() == whole.tokens
    assert score_lines(model, vocab, ["a b z\n", "\nb a"]).equals(table), "in blocks of whole lines"
    last = evaluate(model, vocab.encode_text("a b z\n\n")).nats  # what stands before the last line
    assert table["nats"][2] == pytest.approx(whole.nats - last)
    assert table["perplexity"][2] == pytest.approx(math.exp(table["nats"][2] / table["tokens"][2]))


def test_a_line_without_a_scored_token_has_no_perplexity():
    table = score_lines(tiny_model(), Vocabulary(["<eos>", *"abcdefghi"]), "\na b\n")
    assert table["tokens"].tolist() == [0, 3] and math.isnan(table["perplexity"][0])
