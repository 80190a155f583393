"""AWD-LSTM and its siblings AWD-GRU and AWD-QRNN: a plain stack of layers, regularised at every joint. Chapter 06."""

import itertools
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lmtutor.models.base import FACTOR, LAYERS, SIZE, LanguageModel, State
from lmtutor.models.heads import make_head
from lmtutor.models.qrnn import QRNNLayer
from lmtutor.models.regularise import (
    activation_penalty,
    call_with_weight_drop,
    embed_with_dropout,
    locked_dropout,
    slowness_penalty,
)
from lmtutor.system.errors import one_of
from lmtutor.system.limits import SHARE, expect
from lmtutor.system.machine import product_dtype

AWD_CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "qrnn": QRNNLayer}
HALF_FROM = 1 << 17  # recurrent weights from which bfloat16 is worth its conversions
PROBABILITIES = ("embedding_dropout", "input_dropout", "hidden_dropout", "output_dropout", "weight_drop", "zoneout")
_LIMITS = {
    "embedding hidden window": SIZE,
    "layers": LAYERS,
    " ".join(PROBABILITIES): SHARE,
    "alpha beta init_range": FACTOR,
}


@dataclass(frozen=True)
class AWDConfig:
    """Shape and regularisers of an `AWDLM`. The defaults are those of the WikiText-2 model of the paper."""

    cell: str = "lstm"  # lstm, gru, qrnn
    embedding: int = 400  # units of a word vector, and of the last layer if tied
    hidden: int = 1150  # units of the other layers
    layers: int = 3  # recurrent layers, one above the other
    tied: bool = True  # the head's weight is the embedding
    embedding_dropout: float = 0.1  # share of types that a batch does not see
    input_dropout: float = 0.65  # locked, on the word vectors
    hidden_dropout: float = 0.2  # locked, between layers
    output_dropout: float = 0.4  # locked, before the head
    weight_drop: float = 0.5  # share of hidden-to-hidden weights dropped (QRNN: of the gates' weights)
    alpha: float = 2.0  # AR: weight of the mean squared output
    beta: float = 1.0  # TAR: weight of the mean squared change of the output
    window: int = 2  # QRNN: inputs that the first layer's gates see; the others see 1
    zoneout: float = 0.0  # QRNN: probability of a unit to keep its cell for a step
    init_range: float = 0.1  # embedding and head start uniform in ± this
    head: str = "softmax"  # softmax; adaptive (Grave et al. 2017); split; sampled: trained on a part of the vocabulary
    cutoffs: tuple = ()  # of the heads adaptive and split: ids at which the clusters begin; () chooses

    def __post_init__(self):
        one_of("cell", self.cell, AWD_CELLS)
        expect(vars(self), _LIMITS)


def unregularised(config: AWDConfig) -> AWDConfig:
    """The same shape with every dropout and penalty at 0: what an ablation compares with."""
    return replace(config, alpha=0.0, beta=0.0, **dict.fromkeys(PROBABILITIES, 0.0))


class AWDLM(LanguageModel):
    """Word vectors, recurrent layers, tied softmax; what is dropped on the way is in the config.

    The model of Merity, Keskar and Socher (ICLR 2018); with ``cell="qrnn"`` that of *An Analysis of Neural Language
    Modeling at Multiple Scales* (2018). In evaluation mode it is a plain stack that uses every weight as it is.

    Parameters
    ----------
    config : its shape.
    vocab_size : V, the number of types.
    """

    def __init__(self, config: AWDConfig, vocab_size: int):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocab_size, config.embedding)
        top = config.embedding if config.tied else config.hidden
        sizes = [config.embedding, *[config.hidden] * (config.layers - 1), top]
        self.layers = nn.ModuleList(
            self.make_layer(depth, below, above) for depth, (below, above) in enumerate(itertools.pairwise(sizes))
        )
        nn.init.uniform_(self.embedding.weight, -config.init_range, config.init_range)
        tied = self.embedding.weight if config.tied else None
        self.head = make_head(config.head, top, vocab_size, tied, config.cutoffs)
        if not config.tied and config.head != "adaptive":  # the adaptive head's clusters start as torch starts them
            nn.init.uniform_(self.head.weight, -config.init_range, config.init_range)

    def make_layer(self, depth: int, below: int, above: int) -> nn.Module:
        """The recurrent layer number `depth`, from `below` to `above` units."""
        config = self.config
        if config.cell == "qrnn":
            return QRNNLayer(below, above, config.window if depth == 0 else 1, config.zoneout, config.weight_drop)
        return AWD_CELLS[config.cell](below, above)

    def initial_state(self, batch_size: int) -> State:
        """Zeros, one entry per layer: LSTM (h, c) of (1, B, H) each; GRU h; QRNN the cell and the inputs before."""
        states = []
        for layer in self.layers:
            if isinstance(layer, QRNNLayer):
                states.append(layer.initial_state(batch_size))
                continue
            zeros = self.embedding.weight.new_zeros(1, batch_size, layer.hidden_size)
            states.append((zeros, zeros) if isinstance(layer, nn.LSTM) else zeros)
        return tuple(states)

    def read(self, inputs: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Read `inputs` (T, B); return the last layer's output before and after dropout, (T, B, H), and the state."""
        config = self.config
        hidden = embed_with_dropout(self.embedding, inputs, config.embedding_dropout)
        hidden = locked_dropout(hidden, config.input_dropout, self.training)
        dtype = product_dtype(self.head.precision, inputs.device)
        new_state = []
        for depth, (layer, layer_state) in enumerate(zip(self.layers, state, strict=True)):
            if isinstance(layer, QRNNLayer):  # drops its own weights
                layer.products = dtype
                raw, layer_state = layer(hidden, layer_state)
            else:
                large = hidden.dtype == torch.float32 and layer.weight_hh_l0.numel() >= HALF_FROM
                raw, layer_state = call_with_weight_drop(
                    layer, (hidden, layer_state), config.weight_drop, dtype=dtype if large else None
                )
            last = depth == len(self.layers) - 1
            hidden = locked_dropout(raw, config.output_dropout if last else config.hidden_dropout, self.training)
            new_state.append(layer_state)
        return raw, hidden, tuple(new_state)

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Read `inputs` (T, B) on from `state`; return what the head reads (T, B, H) and the new state."""
        _, hidden, state = self.read(inputs, state)
        return hidden, state

    def loss(self, inputs: Tensor, targets: Tensor, state: State) -> tuple[Tensor, Tensor | float, State]:
        """As `LanguageModel.loss`; the penalty is AR on the dropped and TAR on the raw output of the last layer."""
        raw, dropped, state = self.read(inputs, state)
        penalty = activation_penalty(dropped, self.config.alpha) + slowness_penalty(raw, self.config.beta)
        return self.head.loss(dropped, targets), penalty, state


WIKITEXT_QRNN = AWDConfig(cell="qrnn", hidden=1550, layers=4, input_dropout=0.4, weight_drop=0.1)
CHARACTERS = AWDConfig(embedding_dropout=0.0, input_dropout=0.1, alpha=0.0, beta=0.0)
AWD_PRESETS = {
    # Word level, as published for WikiText-2. The recipes change what other corpora need.
    "awd-lstm": AWDConfig(),
    "awd-gru": AWDConfig(cell="gru"),
    "awd-qrnn": WIKITEXT_QRNN,
    # The same by size.
    "awd-lstm-1150": AWDConfig(),
    "awd-lstm-600": AWDConfig(
        embedding=200,
        hidden=600,
        embedding_dropout=0.05,
        input_dropout=0.3,
        hidden_dropout=0.1,
        output_dropout=0.2,
        weight_drop=0.2,
    ),
    "awd-qrnn-1550": WIKITEXT_QRNN,
    # WikiText-103: so much text that little needs to be dropped.
    "awd-qrnn-2500": replace(
        WIKITEXT_QRNN,
        hidden=2500,
        embedding_dropout=0.0,
        input_dropout=0.1,
        hidden_dropout=0.1,
        output_dropout=0.1,
        weight_drop=0.0,
        alpha=0.0,
        beta=0.0,
    ),
    # Characters of PTB, and of enwik8.
    "awd-lstm-1000-characters": replace(
        CHARACTERS, embedding=200, hidden=1000, hidden_dropout=0.25, output_dropout=0.1, weight_drop=0.5
    ),
    "awd-lstm-1840-characters": replace(
        CHARACTERS, hidden=1840, hidden_dropout=0.1, output_dropout=0.4, weight_drop=0.2
    ),
}
