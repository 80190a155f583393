"""Text from a model: greedy, sampled, or by beam search."""

import math
import re

import torch
from torch import Tensor

from lmtutor.models.base import Scorer, device_of, eval_mode, map_state
from lmtutor.scoring.score import check_vocabulary, line_end
from lmtutor.system.errors import LMTutorError
from lmtutor.system.limits import Limit, expect, number, optional, whole
from lmtutor.text.sources import as_read

AT_ONCE = 64  # samples drawn side by side
_LIMITS = {  # of `generate`
    "tokens": whole(0),
    "temperature": number(0),
    "top_k beam sentences samples": optional(whole(1)),
    "top_p": Limit((None, lambda value: 0 < value <= 1), "above 0 and at most 1"),
    "seed": optional(whole(0, (1 << 63) - 1)),
}


def filter_log_probs(
    log_probs: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """Sharpen and cut next-token distributions.

    Parameters
    ----------
    log_probs : (…, V) nats.
    temperature : divides the log-probabilities; below 1 sharpens, above 1 flattens.
    top_k : keep the k likeliest types.
    top_p : keep the smallest set of likeliest types whose probability reaches p (Holtzman et al. 2020).

    Returns
    -------
    (…, V) normalised log-probabilities, −inf where cut.
    """
    log_probs = torch.log_softmax((log_probs.double() - log_probs.amax(-1, keepdim=True)) / temperature, dim=-1)
    if top_k is not None and top_k < log_probs.shape[-1]:
        kept = log_probs.topk(top_k)
        log_probs = torch.full_like(log_probs, -math.inf).scatter_(-1, kept.indices, kept.values)
    if top_p is not None and top_p < 1:
        ordered, order = torch.log_softmax(log_probs, -1).sort(descending=True, stable=True)
        before = ordered.exp().cumsum(-1) - ordered.exp()  # probability of all that is likelier
        enough = before >= top_p * (1 - 1e-6)  # ten types of 0.1 each sum to a little more or less than 1
        cut = torch.zeros_like(enough).scatter_(-1, order, enough & (before > 0))
        log_probs = log_probs.masked_fill(cut, -math.inf)
    return torch.log_softmax(log_probs, dim=-1)


def draw(log_probs: Tensor, generators: list[torch.Generator]) -> Tensor:
    """Draw a type from each row of (B, V) log-probabilities in float64, with a generator for each: (B,) ids.

    It is the first whose running sum exceeds a uniform number; `torch.multinomial` draws a number for each of V types.
    """
    below = log_probs.exp().cumsum(-1)
    points = torch.cat([torch.rand(1, generator=generator, dtype=torch.float64) for generator in generators])
    found = torch.searchsorted(below, (points * below[:, -1])[:, None], right=True)
    return found[:, 0].clamp(max=below.shape[1] - 1)


@torch.no_grad()
def generate(
    model: Scorer,
    vocab,
    prompt: str = "",
    tokens: int = 40,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    beam: int | None = None,
    sentences: int | None = None,
    samples: int | None = None,
    seed: int | None = None,
    unk: bool = False,
) -> str | list[str]:
    """Continue a prompt.

    Parameters
    ----------
    model, vocab : a model of the package, or one in a `NeuralCache`, and its vocabulary.
    prompt : text to read first; empty starts as after the end of a line.
    tokens : how many tokens to add, at most.
    temperature : 0 is greedy, the likeliest token each time.
    top_k, top_p : cut the distribution before sampling, see `filter_log_probs`.
    beam : width of a beam search instead of sampling: the likeliest continuation found.
    sentences : stop after this many, which end in ``<eos>`` or a line feed, whichever the vocabulary has.
    samples : how many continuations to draw side by side; the n-th is that of ``seed + n - 1`` alone.
    seed : of the sampling; the same seed gives the same text. None draws a fresh one.
    unk : whether ``<unk>`` may be drawn.

    Returns
    -------
    The prompt and its continuation, detokenised; of several `samples` a list.
    """
    expect(locals(), _LIMITS)
    end = line_end(vocab)
    if beam is not None and (sentences or samples):
        raise LMTutorError("A beam search finds one text of so many tokens: leave out sentences and samples.")
    if sentences and end is None:
        raise LMTutorError("The vocabulary has neither <eos> nor a line feed: ask for tokens instead of sentences.")
    check_vocabulary(model, vocab)
    prompt_ids = vocab.encode_text(as_read(prompt))
    start = prompt_ids if len(prompt_ids) else torch.tensor([end or 0])
    banned = [i for i in (vocab.bos_id, vocab.pad_id, None if unk else vocab.unk_id) if i is not None]
    if len(banned) >= len(vocab):
        raise LMTutorError("The vocabulary has nothing but special tokens to draw from: pass unk=True.")
    with eval_mode(model):
        log_probs, state = model.next_log_probs(start[:, None].to(device_of(model)), model.initial_state(1))
        if beam is not None:
            added = [beam_search(model, log_probs, state, banned, beam, tokens)]
        else:
            first = torch.Generator().seed() >> 1 if seed is None else seed
            choices, stop = dict(temperature=temperature, top_k=top_k, top_p=top_p), (end, sentences, int(start[-1]))
            added = []
            for some in torch.arange(samples or 1).split(AT_ONCE):
                generators = [torch.Generator().manual_seed(first + number) for number in some.tolist()]
                added += sample(model, log_probs, state, banned, tokens, generators, choices, stop)
    texts = [vocab.decode_text(torch.cat([prompt_ids, ids])) for ids in added]
    return texts[0] if samples is None else texts


def sample(
    model: Scorer,
    log_probs: Tensor,
    state,
    banned: list[int],
    tokens: int,
    generators: list[torch.Generator],
    choices: dict,
    stop: tuple[int | None, int | None, int],
) -> list[Tensor]:
    """Draw at most `tokens` tokens, one after the other, in a column for each generator; the ids of each, (T,).

    `log_probs` ``(1, V)`` and `state` are those after the prompt; `choices` are those of `filter_log_probs`, at
    temperature 0 greedy. `stop` is the id that ends a sentence, after how many of them to stop, and the prompt's last
    id: where nothing stands before the end, there was no sentence. The last end is left out.
    """
    end, sentences, last = stop
    device, columns = device_of(model), torch.zeros(len(generators), dtype=torch.long)
    state = map_state(lambda part: part.index_select(-2, columns.to(device)), state)
    log_probs, ids = log_probs.expand(len(columns), -1), torch.full((1, len(columns)), last)
    ends = torch.zeros(1, len(columns), dtype=torch.bool)  # where a sentence ended
    while len(ids) <= tokens and not (sentences and bool((ends.sum(0) >= sentences).all())):
        if len(ids) > 1:
            log_probs, state = model.next_log_probs(ids[-1:].to(device), state)
        rows = log_probs.cpu().index_fill(1, torch.tensor(banned, dtype=torch.long), -math.inf)
        greedy = choices["temperature"] == 0
        words = rows.argmax(1) if greedy else draw(filter_log_probs(rows, **choices), generators)
        ends = torch.cat([ends, ((words == end) & (ids[-1] != end))[None]])
        ids = torch.cat([ids, words[None]])
    lengths = (ends.cumsum(0) < (sentences or len(ends) + 1)).sum(0).tolist()
    return [column[1:length] for column, length in zip(ids.t(), lengths, strict=True)]


def repetition(text: str, n: int = 4) -> float:
    """Share of the runs of `n` words or line ends of a text that have stood in it before."""
    words = re.findall(r"\S+|\n", text)
    runs = list(zip(*(words[start:] for start in range(n)), strict=False))
    return (len(runs) - len(set(runs))) / max(1, len(runs))


def beam_search(model: Scorer, log_probs: Tensor, state, banned: list[int], width: int, tokens: int) -> Tensor:
    """The likeliest continuation of `tokens` tokens that a beam of `width` finds.

    `log_probs` ``(1, V)`` and `state` are those after the prompt. The beam's members are the columns of one batch.
    """
    total, paths = torch.zeros(1, dtype=torch.float64), torch.zeros(1, 0, dtype=torch.long)
    for _ in range(tokens):
        rows = log_probs.cpu().double().index_fill(1, torch.tensor(banned, dtype=torch.long), -math.inf)
        scores = (total[:, None] + rows).flatten()
        total, best = scores.topk(min(width, int(scores.isfinite().sum())))
        members, words = best // rows.shape[1], best % rows.shape[1]
        paths = torch.cat([paths[members], words[:, None]], dim=1)
        columns = members.to(device_of(model))
        state = map_state(lambda part, columns=columns: part.index_select(-2, columns), state)
        log_probs, state = model.next_log_probs(words[None].to(columns.device), state)
    return paths[0]
