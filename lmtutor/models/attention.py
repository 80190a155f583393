"""A causal Transformer that is read like a recurrent model: its state is what it may still look at. Chapter 08.

A recurrent layer hands a summary of the past from step to step. Here each layer keeps the *keys* and *values* of the
last tokens themselves and weighs them anew at each step. Both are a state, so training, evaluation, generation, the
neural cache and checkpoints need not know which of the two they have.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmtutor.models.base import FACTOR, LAYERS, SIZE, LanguageModel, State
from lmtutor.models.heads import SoftmaxHead
from lmtutor.models.matrix_state import MatrixState
from lmtutor.models.minrnn import MIN_CELLS
from lmtutor.system.errors import one_of, refuse
from lmtutor.system.limits import SHARE, expect
from lmtutor.system.machine import product_dtype

_LIMITS = {"embedding hidden heads context units": SIZE, "layers": LAYERS, "dropout": SHARE, "init_range": FACTOR}
ROTARY_BASE = 10_000  # the slowest pair of units turns once in about this many steps, times 2π


@dataclass(frozen=True)
class TransformerConfig:
    """Shape of a `TransformerLM`."""

    embedding: int = 200  # E, units of a word vector and of what every layer reads and writes
    hidden: int = 800  # units inside the feed-forward half of a layer
    layers: int = 4  # one above the other
    heads: int = 4  # attentions side by side, each on E / heads units
    context: int = 128  # tokens that a layer sees at each step, the present one among them
    rotary: bool = True  # positions, by rotation (Su et al. 2021); without, only the mask tells what came first
    sinusoidal: bool = False  # positions, added to the word vectors (Vaswani et al. 2017), counted up to `context`
    norm_first: bool = True  # normalise what a half of a layer reads; False: what it has added (the same, 2017)
    activation: str = "gelu"  # of the feed-forward half: gelu, relu
    dropout: float = 0.1  # probability: on the embedding, and on what each half of a layer adds
    tied: bool = True  # the head's weight is the embedding (Press & Wolf 2017)
    init_range: float = 0.1  # embedding and head start uniform in ± this
    mixer: str = "attention"  # what looks back; a state instead (chapter 09): gated, delta, min-gru, min-lstm, rglru
    units: int = 32  # of a key and a value, where the state is one matrix per head: heads · units² numbers

    def __post_init__(self):
        expect(vars(self), _LIMITS)
        one_of("activation", self.activation, ACTIVATIONS)
        one_of("mixer", self.mixer, MIXERS)
        share, attends = 2 * self.heads if self.rotary else self.heads, self.mixer == "attention"
        got = f"(got {self.embedding})"
        refuse(
            {
                f"mixer={self.mixer!r} counts no positions: leave sinusoidal out": self.sinusoidal and not attends,
                f"embedding must be even for sines and cosines {got}": self.sinusoidal and self.embedding % 2,
                f"embedding must be a multiple of {share}, for its heads {got}": attends and self.embedding % share,
            }
        )


def turns(length: int, size: int, like: Tensor) -> tuple[Tensor, Tensor]:
    r"""Cosine and sine of the angles :math:`t \cdot 10000^{-2j/d}`, for positions t and pairs j of units.

    Parameters
    ----------
    length : number of positions, from 0.
    size : d, units of a head; even.
    like : a tensor of the device and dtype wanted.

    Returns
    -------
    cos, sin : (length, d / 2) each.
    """
    pairs = torch.arange(0, size, 2, device=like.device, dtype=torch.float64) / size
    angles = torch.arange(length, device=like.device)[:, None] * ROTARY_BASE**-pairs
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of units ``(x[j], x[j + d/2])`` by its angle: x (…, T, d), cos and sin (T, d / 2) → (…, T, d).

    Turned like this, the product of a query at t and a key at s depends on t − s alone (Su et al. 2021, eq. 16).
    """
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def visible(steps: int, length: int, context: int, device: torch.device) -> Tensor | None:
    """Which of `length` keys each of the last `steps` of them may see: (steps, length) bool; None for all.

    Step t sees the keys t − context + 1 to t: the causal mask, and the band of chapter 07.
    """
    if steps == 1 and length <= context:
        return None
    ones = torch.ones(steps, length, dtype=torch.bool, device=device)
    newest = length - steps  # the first step's own key
    return ones.tril(newest).triu(newest - context + 1)


class Attention(nn.Module):
    r"""Causal self-attention with several heads (Vaswani et al. 2017, section 3.2).

    .. math:: a_{ts} = \mathrm{softmax}_s\!\left(\frac{q_t \cdot k_s}{d^{1/2}}\right), \qquad
              o_t = W_o \sum_{s \le t} a_{ts} v_s

    with queries, keys and values :math:`q, k, v = W_q x, W_k x, W_v x`, each cut into heads of d units that attend
    apart. The weights lie as in `torch.nn.MultiheadAttention`: queries, keys, values one below the other.

    Parameters
    ----------
    size, heads, context, rotary : see `TransformerConfig`.
    """

    def __init__(self, size: int, heads: int, context: int, rotary: bool = True):
        super().__init__()
        self.heads, self.context, self.rotary = heads, context, rotary
        self.inner = nn.Linear(size, 3 * size)  # queries, keys, values
        self.outer = nn.Linear(size, size)

    def initial_state(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """Keys and values before the first token: none, (0, B, E) each."""
        none = self.outer.weight.new_zeros(0, batch_size, self.outer.in_features)
        return none, none

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Read x (T, B, E) on from the keys and values (n, B, E) of the n < context tokens before.

        Keys are kept as they are before the rotation. Only differences of positions count, so that each call may
        number the tokens in view from 0.
        """
        queries, keys, values = self.inner(x).to(state[0].dtype).chunk(3, dim=-1)
        keys, values = torch.cat([state[0], keys]), torch.cat([state[1], values])
        q, k, v = (part.unflatten(-1, (self.heads, -1)).permute(1, 2, 0, 3) for part in (queries, keys, values))
        steps, length = len(queries), len(keys)  # q is (B, heads, T, d); k and v are (B, heads, n + T, d)
        if self.rotary:
            cos, sin = turns(length, q.shape[-1], q)
            q, k = rotate(q, cos[-steps:], sin[-steps:]), rotate(k, cos, sin)
        mask = visible(steps, length, self.context, x.device)
        with torch.autocast("cpu", enabled=False):  # where its backward pass is three times slower in bfloat16
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        out = self.outer(mixed.permute(2, 0, 1, 3).flatten(-2))
        kept = max(0, length - self.context + 1)  # what the next token can see beside itself
        return out, (keys[kept:], values[kept:])


MIXERS = {  # config → layer; all are called as `Attention` is
    "attention": lambda c: Attention(c.embedding, c.heads, c.context, c.rotary),
    "gated": lambda c: MatrixState(c.embedding, c.heads, c.units, delta=False),
    "delta": lambda c: MatrixState(c.embedding, c.heads, c.units, delta=True),
    **{name: lambda c, cell=cell: cell(c.embedding, c.embedding) for name, cell in MIN_CELLS.items()},
}


ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU}


class Block(nn.Module):
    """A layer: attention, then two linear maps with a GELU between, each added to what it reads after normalising it.

    What the config calls `mixer` may stand in the place of attention. Normalising before, not after, is what
    lets it train without a long warm-up (Xiong et al. 2020). With ``norm_first=False``, as in 2017, the sums are
    normalised instead. Ours drops what each half adds; `torch.nn.TransformerEncoderLayer` also drops attention weights
    and the units between the two linear maps.
    """

    def __init__(self, config: TransformerConfig):
        super().__init__()
        size = config.embedding
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(2))
        self.attention = MIXERS[config.mixer](config)
        self.feed_forward = nn.Sequential(
            nn.Linear(size, config.hidden), ACTIVATIONS[config.activation](), nn.Linear(config.hidden, size)
        )
        self.norm_first = config.norm_first
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Read x (T, B, E) on from `state`; return what the next layer reads (T, B, E) and the new state."""
        if not self.norm_first:
            read, state = self.attention(x, state)
            x = self.norms[0](x + self.dropout(read))
            return self.norms[1](x + self.dropout(self.feed_forward(x))), state
        read, state = self.attention(self.norms[0](x), state)
        x = x + self.dropout(read)
        return x + self.dropout(self.feed_forward(self.norms[1](x))), state


class TransformerLM(LanguageModel):
    r"""Word vectors into a stack of attention layers into a softmax over the vocabulary.

    .. math:: x^0_t = E^{1/2}\, e_{x_t}, \quad x^l = \mathrm{block}^l(x^{l-1}), \quad z_t = W\, \mathrm{norm}(x^L_t) + b

    The state is, for each layer, the keys and values of the last ``context − 1`` tokens. Reading a text in pieces is
    therefore the same as reading it at once. A layer sees ``context`` tokens; through L layers a word can travel
    L · (context − 1) steps. In training `fit` detaches the state between batches, as that of a recurrent model: tokens
    of earlier batches are seen but get no gradient, as in Transformer-XL (Dai et al. 2019). That paper keeps what the
    layers read and projects it anew with the present weights; here the keys and values are kept as they were.

    Parameters
    ----------
    config : its shape.
    vocab_size : V, the number of types.
    """

    def __init__(self, config: TransformerConfig, vocab_size: int):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocab_size, config.embedding)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.embedding) if config.norm_first else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.head = SoftmaxHead(config.embedding, vocab_size, self.embedding.weight if config.tied else None)
        for weight in (self.embedding.weight, self.head.weight):
            nn.init.uniform_(weight, -config.init_range, config.init_range)

    def initial_state(self, batch_size: int) -> State:
        """No keys and no values: a tuple with a pair of (0, B, E) per layer; zeros where `mixer` is a state."""
        return tuple(layer.attention.initial_state(batch_size) for layer in self.layers)

    def positions(self, before: int, steps: int, like: Tensor) -> Tensor:
        """Sine and cosine, unit by unit, of the places of `steps` tokens after `before` others: (T, 1, E).

        The count stops at ``context − 1``, the most that a state tells of what has been read.
        """
        cos, sin = turns(self.config.context, self.config.embedding, like)
        places = torch.arange(before, before + steps, device=like.device).clamp(max=self.config.context - 1)
        return torch.stack([sin, cos], dim=-1).flatten(1)[places, None]

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Read `inputs` (T, B) on from `state`; return what the head reads (T, B, E) and the new state.

        A state of n tokens is a pair of (n, B, E) per layer; n grows up to ``context − 1``.
        """
        vectors = F.embedding(inputs, self.embedding.weight, sparse=self.config.tied and self.training)
        vectors = vectors * math.sqrt(self.config.embedding)
        if self.config.sinusoidal:
            vectors = vectors + self.positions(len(state[0][0]), len(inputs), vectors)
        hidden = self.dropout(vectors)
        # In training all but the sums may be in bfloat16, where the processor multiplies it in hardware.
        half = self.training and product_dtype(self.head.precision, inputs.device) == torch.bfloat16
        new_state = []
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=half):
            for layer, layer_state in zip(self.layers, state, strict=True):
                hidden, layer_state = layer(hidden, layer_state)
                new_state.append(layer_state)
        return self.norm(hidden), tuple(new_state)


ATTENTION_PRESETS = {
    # As wide as the small LSTM of chapter 04 and as large, within a thousandth: 7.3 million numbers.
    "transformer-200": TransformerConfig(hidden=400, layers=2),
    # The small shape of chapter 08.
    "transformer-96": TransformerConfig(embedding=96, hidden=576, heads=3),
    # As PyTorch's word_language_model example builds it, whose texts are cut into windows: cut = "windows".
    "transformer-2017": TransformerConfig(
        *(200, 200, 2, 2, 35),
        **dict(rotary=False, sinusoidal=True, norm_first=False, activation="relu", dropout=0.2, tied=False),
    ),
    # One matrix per head for a state, in the same block: chapter 09.
    "gated-200": TransformerConfig(hidden=400, layers=2, mixer="gated"),
    "delta-200": TransformerConfig(hidden=400, layers=2, mixer="delta"),
}
