"""The continuous cache of Grave, Joulin and Usunier (2017): a trained model that remembers what it has just read.

Beside the model's own distribution stands a second one, over the words of the last `w` steps. Each word is filed
under the hidden state that preceded it, and the better that state resembles the present one, the more the word counts:

.. math:: p_c(x_{t+1} = v) = \\sum_{i=t-w}^{t-1} \\mathrm{softmax}_i(\\theta\\, h_t \\cdot h_i)\\; [x_{i+1} = v],
          \\qquad p = (1 - \\lambda)\\, p_\\mathrm{model} + \\lambda\\, p_c

Nothing is trained and nothing is looked up ahead: the pair :math:`(h_t, x_{t+1})` enters after :math:`x_{t+1}` has
been scored. What is kept is the last `w` hidden states and as many ids, however large the vocabulary.
"""

import itertools
import math
from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor, nn

from lmtutor.models.base import LanguageModel, State, device_of, eval_mode
from lmtutor.models.heads import IGNORED
from lmtutor.scoring.score import check_ids, stretches
from lmtutor.system.errors import LMTutorError
from lmtutor.system.limits import SHARE, expect, number, whole

BLOCK_NUMBERS = 1 << 20  # products held at once: 4 MiB of float32, which stays near the processor
SETTINGS = {"window": whole(1), "theta": number(0), "lam": SHARE}
MOST_ROWS, LEAST_ROWS = 160, 32  # queries in a block


def target_log_probs_by_setting(
    keys: Tensor, ids: Tensor, targets: Tensor, windows: Sequence[int], thetas: Sequence[float]
) -> Tensor:
    r"""The cache's log-probability of each target, for several windows and temperatures at once.

    Step `k` has the hidden state ``keys[k]``, read the token ``ids[k]``, and was followed by ``ids[k + 1]``. The last
    T steps are asked; the P steps before them are history.

    The products of a block of queries with all keys that any of them sees are one matrix product. Query `i` of the
    block sees the keys from `i` to `i + w − 1` of those: a band, which becomes a plain (rows, w) matrix when it is
    read with a row stride one longer than the matrix is wide. No copy, and no mask.

    Parameters
    ----------
    keys : (P + T, B, H) hidden states.
    ids : (P + T, B) int64, the tokens read.
    targets : (T, B) int64.
    windows : how many steps back the cache goes, tokens.
    thetas : inverse temperatures of the softmax over those steps.

    Returns
    -------
    (len(windows), len(thetas), T, B) nats: −inf where the target is not in the window, NaN where the window is empty.
    """
    steps, batch = targets.shape
    width = min(max(windows), len(keys))
    missing = max(0, width - (len(keys) - steps))  # steps before the beginning of the text, to be hidden again
    keys = torch.cat([keys.new_zeros(missing, *keys.shape[1:]), keys]).transpose(0, 1).contiguous()
    followers = torch.cat([ids.new_full((missing, batch), IGNORED), ids])[1:].t().int().contiguous()
    targets = targets.t().int()
    first = keys.shape[1] - steps  # where the queries begin
    edges = sorted({width - min(window, width) for window in windows}) + [width]
    result = keys.new_empty(len(windows), len(thetas), batch, steps)
    rows = min(MOST_ROWS, max(LEAST_ROWS, BLOCK_NUMBERS // (width * batch)))
    for start in range(0, steps, rows):
        stop = min(start + rows, steps)
        seen = slice(first + start - width, first + stop - 1)
        products = keys[:, first + start : first + stop] @ keys[:, seen].mT  # (B, rows, width + rows − 1)
        length = products.shape[2]
        band = products.as_strided((batch, stop - start, width), (products.stride(0), length + 1, 1))
        if seen.start < missing:
            places = torch.arange(seen.start, seen.start + length, device=keys.device)
            band.masked_fill_((places < missing).unfold(0, width, 1), -math.inf)
        same = followers[:, seen].unfold(1, width, 1) == targets[:, start:stop, None]
        for row, theta in enumerate(thetas):
            # At θ = 0 every step counts alike, but a step that is not there (−inf · 0) still must not count.
            scores = band * theta if theta else torch.where(band.isneginf(), band, 0.0)
            everything = hits = None
            for left, right in reversed(list(zip(edges[:-1], edges[1:], strict=True))):
                part = scores[..., left:right]
                largest = part.amax(-1, keepdim=True).clamp_(min=torch.finfo(part.dtype).min)
                part = part.sub_(largest).exp_()
                added = part.sum(-1).log_() + largest[..., 0]
                added_hits = part.mul_(same[..., left:right]).sum(-1).log_() + largest[..., 0]
                everything = added if everything is None else torch.logaddexp(everything, added)
                hits = added_hits if hits is None else torch.logaddexp(hits, added_hits)
                for column, window in enumerate(windows):
                    if width - min(window, width) == left:
                        result[column, row, :, start:stop] = hits - everything
    return result.mT


class NeuralCache(nn.Module):
    """A language model with a neural cache: for scoring and generating, a model like the one that it wraps.

    Parameters
    ----------
    model : a torch model of the package; it is used, not copied or changed.
    window : w, how many tokens the cache goes back; the cache may be partly filled.
    theta : θ, inverse temperature of the softmax over those tokens: at 0 all count alike.
    lam : λ, the cache's share of the mixture; 0 leaves the model alone.

    Raises
    ------
    LMTutorError : a setting out of range, or a model without hidden states.

    Examples
    --------
    >>> evaluate(NeuralCache(model, window=2000, theta=0.66, lam=0.13), corpus.test)
    """

    def __init__(self, model: LanguageModel, window: int, theta: float, lam: float):
        super().__init__()
        if not isinstance(model, LanguageModel):
            raise LMTutorError(f"{type(model).__name__} has no hidden states to cache: wrap a recurrent model.")
        expect(dict(window=window, theta=theta, lam=lam), SETTINGS)
        self.model, self.window, self.theta, self.lam = model, window, theta, lam
        self.vocab = model.vocab

    @property
    def vocab_size(self) -> int:
        """V, the number of types."""
        return self.model.vocab_size

    @property
    def protocol(self) -> str:
        """What `Score.protocol` says of the cache."""
        return f"neural cache of window {self.window}, theta {self.theta:g}, lam {self.lam:g}"

    def initial_state(self, batch_size: int) -> State:
        """The model's state before the first token, and an empty history."""
        return self.model.initial_state(batch_size), None

    @torch.no_grad()
    def mix(
        self, log_probs: Tensor, hidden: Tensor, inputs: Tensor, targets: Tensor, history: State
    ) -> tuple[Tensor, State]:
        """Mix the model's log-probabilities of the targets with the cache's: ``(T, B)``, `hidden` ``(T, B, H)``."""
        first = history is None
        keys, ids = extend(history, hidden, inputs)
        cached = target_log_probs_by_setting(keys, ids, targets, [self.window], [self.theta])[0, 0]
        mixed = mixture(log_probs, cached, self.lam)
        if first:
            mixed[0] = log_probs[0]  # nothing has been read that a word could be taken from
        return mixed.masked_fill_(targets == IGNORED, 0.0), keep_last(self.window, keys, ids)

    @torch.no_grad()
    def target_log_probs(self, inputs: Tensor, targets: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probability of each target, nats, ``(T, B)``; 0 where the target is -100."""
        inputs, targets = inputs.to(device_of(self)), targets.to(device_of(self))
        hidden, inner = self.model(inputs, state[0])
        log_probs = self.model.head.target_log_probs(hidden, targets)
        mixed, history = self.mix(log_probs, hidden, inputs, targets, state[1])
        return mixed, (inner, history)

    @torch.no_grad()
    def next_log_probs(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probability of every type for the token after the last input, nats, ``(B, V)``."""
        inputs = inputs.to(device_of(self))
        hidden, inner = self.model(inputs, state[0])
        log_probs = self.model.head.log_probs(hidden[-1])
        keys, ids = extend(state[1], hidden, inputs)
        new_state = inner, keep_last(self.window, keys, ids)
        seen = keys[:-1][-self.window :]  # (n, B, H); the last state's word is the one asked for
        if len(seen) == 0:
            return log_probs, new_state
        weights = torch.softmax(self.theta * torch.einsum("nbh,bh->bn", seen, keys[-1]), dim=-1)
        words = ids[1:][-self.window :].t()
        cached = torch.zeros_like(log_probs).scatter_add_(1, words, weights.to(log_probs.dtype))
        return mixture(log_probs, cached.log_(), self.lam), new_state


def extend(history: State, hidden: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """The kept steps and the new ones: keys ``(P + T, B, H)`` and the ids that were read ``(P + T, B)``."""
    if history is None:
        return hidden, inputs
    return torch.cat([history[0], hidden]), torch.cat([history[1][..., 0], inputs])


def keep_last(window: int, keys: Tensor, ids: Tensor) -> State:
    """What the next query can see: ``(w, B, H)`` and ``(w, B, 1)``, so that B is next to last as in any state."""
    return keys[-window:].clone(), ids[-window:, :, None].clone()


def mixture(model: Tensor, cached: Tensor, lam: float) -> Tensor:
    """log of (1 − λ) p_model + λ p_cache, from logs, without leaving the logs."""
    if lam == 0:
        return model.clone()
    return torch.logaddexp(model + math.log1p(-lam), cached + math.log(lam))


@torch.no_grad()
def tune_cache(
    model: LanguageModel,
    valid_ids: Tensor,
    windows: Sequence[int] = (500, 1000, 2000, 4000),
    thetas: Sequence[float] = (0.0, 0.2, 0.4, 0.66, 1.0, 1.5, 2.0),
    lams: Sequence[float] = (0.0, 0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5),
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Try every window, θ and λ on the validation split, in one reading of it.

    The model runs once. The products of hidden states are computed once, for the largest window; every θ and every
    smaller window is read off them, and every λ off the two log-probabilities of each token.

    Parameters
    ----------
    valid_ids : (N,) ids of the *validation* split: a cache tuned on the test split has seen it.
    windows, thetas, lams : what to try; with a lam of 0 the surface also says what the model does alone.

    Returns
    -------
    surface : DataFrame ``window theta lam nats_per_token perplexity``, one row per setting.
    best : the row with the lowest perplexity, as ``{"window": …, "theta": …, "lam": …}`` for `NeuralCache`.

    Raises
    ------
    LMTutorError : a setting out of range, or a text with nothing to score.
    """
    if not (len(windows) and len(thetas) and len(lams)):
        raise LMTutorError("The cache needs at least one window, one theta and one lam to try.")
    for window, theta, lam in itertools.product(windows, thetas, lams):
        expect(dict(window=window, theta=theta, lam=lam), SETTINGS)
    check_ids(model, valid_ids)
    device = device_of(model)
    own, cached = [], []  # log-probabilities of the targets: the model's (N,), the cache's (windows, θ, N)
    state, history = model.initial_state(1), None
    with eval_mode(model):
        for batch in stretches(valid_ids):
            inputs, targets = batch.inputs.to(device), batch.targets.to(device)
            hidden, state = model(inputs, state)
            own.append(model.head.target_log_probs(hidden, targets)[:, 0])
            keys, ids = extend(history, hidden, inputs)
            cached.append(target_log_probs_by_setting(keys, ids, targets, windows, thetas)[..., 0])
            history = keep_last(max(windows), keys, ids)
    own_log_probs, cache_log_probs = torch.cat(own), torch.cat(cached, dim=-1)
    rows = []
    for i, window in enumerate(windows):
        for j, theta in enumerate(thetas):
            for lam in lams:
                mixed = mixture(own_log_probs, cache_log_probs[i, j], lam)
                mixed[0] = own_log_probs[0]
                nats = -float(mixed.double().mean())
                rows.append((window, theta, lam, nats, math.exp(min(nats, 700))))
    surface = pd.DataFrame(rows, columns=["window", "theta", "lam", "nats_per_token", "perplexity"])
    best = surface.loc[surface["nats_per_token"].idxmin()]
    return surface, {"window": int(best["window"]), "theta": float(best["theta"]), "lam": float(best["lam"])}
