"""Text from a model: greedy, sampled, or by beam search."""

import math

import torch
from torch import Tensor

from lmtutor.models.base import Scorer, device_of, eval_mode, map_state
from lmtutor.scoring.score import check_vocabulary, line_end
from lmtutor.system.errors import LMTutorError


def filter_log_probs(
    log_probs: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """Sharpen and cut a next-token distribution.

    Parameters
    ----------
    log_probs : (V,) nats.
    temperature : divides the log-probabilities; below 1 sharpens, above 1 flattens.
    top_k : keep the k likeliest types.
    top_p : keep the smallest set of likeliest types whose probability reaches p (Holtzman et al. 2020).

    Returns
    -------
    (V,) normalised log-probabilities, −inf where cut.
    """
    log_probs = torch.log_softmax((log_probs.double() - log_probs.max()) / temperature, dim=-1)
    if top_k is not None and top_k < len(log_probs):
        kept = log_probs.topk(top_k).indices
        log_probs = torch.full_like(log_probs, -math.inf).index_copy_(0, kept, log_probs[kept])
    if top_p is not None and top_p < 1:
        ordered, order = torch.log_softmax(log_probs, -1).sort(descending=True, stable=True)
        before = ordered.exp().cumsum(0) - ordered.exp()  # probability of all that is likelier
        enough = before >= top_p * (1 - 1e-6)  # ten types of 0.1 each sum to a little more or less than 1
        log_probs = log_probs.index_fill(0, order[enough & (before > 0)], -math.inf)
    return torch.log_softmax(log_probs, dim=-1)


def draw(log_probs: Tensor, generator: torch.Generator) -> int:
    """Draw a type from (V,) log-probabilities in float64: the first whose running sum exceeds a uniform number.

    One pass; `torch.multinomial` draws a number for each of the V types.
    """
    below = log_probs.exp().cumsum(0)
    point = torch.rand(1, generator=generator, dtype=torch.float64) * below[-1]
    return int(torch.searchsorted(below, point, right=True).clamp(max=len(below) - 1))


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
    seed: int | None = None,
    unk: bool = False,
) -> str:
    """Continue a prompt.

    Parameters
    ----------
    prompt : text to read first; empty starts as after the end of a line.
    tokens : how many tokens to add.
    temperature : 0 is greedy, the likeliest token each time.
    top_k, top_p : cut the distribution before sampling, see `filter_log_probs`.
    beam : width of a beam search instead of sampling: the likeliest continuation found.
    seed : of the sampling; the same seed gives the same text. None draws a fresh one.
    unk : whether ``<unk>`` may be drawn.

    Returns
    -------
    The prompt and its continuation, detokenised.
    """
    for name, value, fine, wanted in (
        ("tokens", tokens, tokens >= 0, "0 or more"),
        ("temperature", temperature, 0 <= temperature < math.inf, "0 (greedy) or a positive number"),
        ("top_k", top_k, top_k is None or top_k >= 1, "at least 1"),
        ("top_p", top_p, top_p is None or 0 < top_p <= 1, "above 0 and at most 1"),
        ("beam", beam, beam is None or beam >= 1, "at least 1"),
        ("seed", seed, seed is None or 0 <= seed < 1 << 63, "a whole number from 0 to 2^63 − 1"),
    ):
        if not fine:
            raise LMTutorError(f"{name}={value}: it has to be {wanted}.")
    check_vocabulary(model, vocab)
    prompt_ids = vocab.encode_text(prompt)
    start = prompt_ids if len(prompt_ids) else torch.tensor([line_end(vocab) or 0])
    banned = [i for i in (vocab.bos_id, vocab.pad_id, None if unk else vocab.unk_id) if i is not None]
    if len(banned) >= len(vocab):
        raise LMTutorError("The vocabulary has nothing but special tokens to draw from: pass unk=True.")
    with eval_mode(model):
        log_probs, state = model.next_log_probs(start[:, None].to(device_of(model)), model.initial_state(1))
        if beam is not None:
            added = beam_search(model, log_probs, state, banned, beam, tokens)
        else:
            generator = torch.Generator()
            generator.seed() if seed is None else generator.manual_seed(seed)
            choices = dict(temperature=temperature, top_k=top_k, top_p=top_p)
            added = sample(model, log_probs, state, banned, tokens, generator, choices)
    return vocab.decode_text(torch.cat([prompt_ids, torch.tensor(added, dtype=torch.long)]))


def sample(
    model: Scorer, log_probs: Tensor, state, banned: list[int], tokens: int, generator: torch.Generator, choices: dict
) -> list[int]:
    """Draw `tokens` tokens, one after the other; `choices` are those of `filter_log_probs`, at temperature 0 greedy.

    `log_probs` ``(1, V)`` and `state` are those after the prompt.
    """
    added = []
    for _ in range(tokens):
        row = log_probs[0].cpu().index_fill(0, torch.tensor(banned, dtype=torch.long), -math.inf)
        greedy = choices["temperature"] == 0
        added.append(int(row.argmax()) if greedy else draw(filter_log_probs(row, **choices), generator))
        log_probs, state = model.next_log_probs(torch.tensor([added[-1:]], device=device_of(model)), state)
    return added


def beam_search(model: Scorer, log_probs: Tensor, state, banned: list[int], width: int, tokens: int) -> list[int]:
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
    return paths[0].tolist()
