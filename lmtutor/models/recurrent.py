"""The recurrent language model: embedding, recurrent layers, softmax. Chapters 03 and 04."""

import functools
import itertools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmtutor.models import cells
from lmtutor.models.base import FACTOR, LAYERS, SIZE, LanguageModel, State
from lmtutor.models.heads import make_head
from lmtutor.models.minrnn import MIN_CELLS
from lmtutor.system.errors import LMTutorError, one_of
from lmtutor.system.limits import COUNT, SHARE, expect

RECURRENT_CELLS = {
    "rnn-tanh": lambda inputs, hidden: nn.RNN(inputs, hidden, nonlinearity="tanh"),
    "rnn-relu": lambda inputs, hidden: nn.RNN(inputs, hidden, nonlinearity="relu"),
    "gru": nn.GRU,
    "lstm": nn.LSTM,
    **cells.CELLS,
    **MIN_CELLS,
}
_LIMITS = {
    "embedding hidden": SIZE,
    "layers": LAYERS,
    "dropout": SHARE,
    "init_range cell_range": FACTOR,
    "block_size": COUNT,
}


@dataclass(frozen=True)
class RecurrentConfig:
    """Shape of a `RecurrentLM`."""

    cell: str = "lstm"  # rnn-tanh, rnn-relu, gru, lstm; one of `models.cells` or `models.minrnn`
    embedding: int = 200  # units of a word vector
    hidden: int = 200  # units of a layer; the last layer of a tied model has `embedding` units
    layers: int = 2  # recurrent layers, one above the other
    dropout: float = 0.2  # probability: on the embedding, between layers, before the head
    tied: bool = True  # the head's weight is the embedding (Press & Wolf 2017)
    init_range: float = 0.1  # embedding and head start uniform in ± this
    block_size: int = 0  # of a historical LSTM: cells that share their gates; 0 as in its paper
    cell_range: float = 0.0  # of a historical cell: its weights start uniform in ± this; 0 as in its paper
    biases: tuple = ()  # of a historical cell: its first biases, in the order of `cells.BIASES`; () as in its paper
    head: str = "softmax"  # softmax; adaptive (Grave et al. 2017); split; sampled: trained on a part of the vocabulary
    cutoffs: tuple = ()  # of the heads adaptive and split: ids at which the clusters begin; () chooses

    def __post_init__(self):
        one_of("cell", self.cell, RECURRENT_CELLS)
        expect(vars(self), _LIMITS)
        names = cells.BIASES.get(self.cell, ())
        if (self.cell_range or self.block_size) and not names or self.block_size and self.cell == "elman-1990":
            raise LMTutorError(f"cell={self.cell!r} has no block_size or cell_range: they are of the historical cells.")
        numbers = [bias for bias in self.biases if isinstance(bias, int | float) and math.isfinite(bias)]
        if self.biases and (len(self.biases) != len(names) or len(numbers) != len(names)):
            raise LMTutorError(f"biases must be {', '.join(names) or 'left out'} (got {list(self.biases)}).")


class RecurrentLM(LanguageModel):
    r"""Word vectors into a stack of recurrent layers into a softmax over the vocabulary.

    .. math:: e_t = E[x_t], \quad h^l_t = \mathrm{cell}^l(h^{l-1}_t, h^l_{t-1}), \quad z_t = W h^L_t + b

    With ``tied=True``, :math:`W = E`: one matrix reads words and writes them. Dropout stands where Zaremba et al.
    (2014) put it: on the way up, never on the way from one time step to the next.

    GluonNLP's `StandardRNN`, whose figures several recipes aim at, differs in two things. Before the softmax it drops
    the same units at all steps of a batch, ours others at each step. And its layers begin with Xavier's weights
    (uniform in ± 0.0775 at 200 units) and biases of 0, ours as torch's do, all uniform in ± 1/√H.

    Parameters
    ----------
    config : its shape.
    vocab_size : V, the number of types.
    """

    def __init__(self, config: RecurrentConfig, vocab_size: int):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocab_size, config.embedding)
        top = config.embedding if config.tied else config.hidden
        sizes = [config.embedding, *[config.hidden] * (config.layers - 1), top]
        make, first = RECURRENT_CELLS[config.cell], {}
        if config.cell in cells.CELLS:
            make = functools.partial(cells.make_cell, config.cell)
            first = dict(block_size=config.block_size, init_range=config.cell_range, biases=config.biases)
        self.layers = nn.ModuleList(make(below, above, **first) for below, above in itertools.pairwise(sizes))
        self.dropout = nn.Dropout(config.dropout)
        nn.init.uniform_(self.embedding.weight, -config.init_range, config.init_range)
        tied = self.embedding.weight if config.tied else None
        self.head = make_head(config.head, top, vocab_size, tied, config.cutoffs)
        if not config.tied and config.head != "adaptive":  # the adaptive head's clusters start as torch starts them
            nn.init.uniform_(self.head.weight, -config.init_range, config.init_range)

    def initial_state(self, batch_size: int) -> State:
        """Zeros: a tuple with one entry per layer, ``(1, B, H)`` or for an LSTM the pair ``(h, c)`` of such tensors."""
        like = self.embedding.weight
        states = []
        for layer in self.layers:
            if hasattr(layer, "initial_state"):  # our own cells say what they carry
                states.append(layer.initial_state(batch_size))
                continue
            zeros = like.new_zeros(1, batch_size, layer.hidden_size)
            states.append((zeros, zeros) if isinstance(layer, nn.LSTM) else zeros)
        return tuple(states)

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Read `inputs` ``(T, B)`` on from `state`; return what the head reads ``(T, B, H)`` and the new state."""
        # A tied weight's gradient is made whole by the head: the lookup has no more than its rows to add to it.
        vectors = F.embedding(inputs, self.embedding.weight, sparse=self.config.tied and self.training)
        hidden = self.dropout(vectors)
        new_state = []
        for layer, layer_state in zip(self.layers, state, strict=True):
            hidden, layer_state = run(layer, hidden, layer_state)
            hidden = self.dropout(hidden)
            new_state.append(layer_state)
        return hidden, tuple(new_state)


def run(layer: nn.Module, inputs: Tensor, state: State) -> tuple[Tensor, State]:
    """One layer over all steps ``(T, B, E)``; a single step of an LSTM without gradient takes a short cut."""
    if not (isinstance(layer, nn.LSTM) and len(inputs) == 1) or torch.is_grad_enabled():
        return layer(inputs, state)
    # torch's LSTM packs its weights anew at every call, which takes ten times as long as the step itself.
    weights = layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0
    h, c = torch.lstm_cell(inputs[0], (state[0][0], state[1][0]), *weights)
    return h[None], (h[None], c[None])


RECURRENT_PRESETS = {
    # The original zoo's tied presets: embedding as wide as the hidden layers.
    "lstm-200": RecurrentConfig(embedding=200, hidden=200, dropout=0.2),
    "lstm-650": RecurrentConfig(embedding=650, hidden=650, dropout=0.5),
    "lstm-1500": RecurrentConfig(embedding=1500, hidden=1500, dropout=0.65),
    # Same shape, other cells: what chapter 03 compares.
    "gru-200": RecurrentConfig(cell="gru"),
    "rnn-200": RecurrentConfig(cell="rnn-tanh"),
    # Gates that see the input alone: chapter 09.
    "min-gru-200": RecurrentConfig(cell="min-gru"),
    "min-lstm-200": RecurrentConfig(cell="min-lstm"),
    "rglru-200": RecurrentConfig(cell="rglru"),
}
