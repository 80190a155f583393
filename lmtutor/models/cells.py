"""The family before the modern LSTM: Elman's network and the LSTMs of 1997, 2000 and 2002. Chapter 03.

All are called as `torch.nn.LSTM` is: ``output (T, B, H), state = cell(x (T, B, E), state)``.

Every LSTM here is made of *memory-cell blocks*: a block of S cells shares its gates, so H cells have H / S gates of
each kind. `spread` copies a block's gate to its cells.

The initial weights and biases are arguments; by default they are those of one experiment of the paper, named in each
class together with what is *not* the paper's. Two things differ in all three LSTMs. The papers cut the gradient
wherever it would leave a cell through a gate, and here autograd follows every path. And they tell each network's
biases block by block for four blocks at most; with more, the list begins again.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmtutor.system.errors import LMTutorError

PAPER_BLOCKS = 4  # the papers list gate biases for up to four blocks, in equal steps


def squash_in(z: Tensor) -> Tensor:
    """The papers' g, from −2 to 2: 4σ(z) − 2, which is 2 tanh(z / 2)."""
    return 2 * torch.tanh(z / 2)


def squash_out(c: Tensor) -> Tensor:
    """The papers' h, from −1 to 1: 2σ(c) − 1, which is tanh(c / 2)."""
    return torch.tanh(c / 2)


def stairs(blocks: int, step: float) -> Tensor:
    """Gate biases step, 2·step, … for the blocks of a network; (blocks,).

    With more blocks than the papers had, the stairs begin again: a hundred blocks on one staircase would leave
    most gates shut for good.
    """
    return step * (1 + torch.arange(blocks) % PAPER_BLOCKS)


class Elman1990(nn.Module):
    """The simple recurrent network (Elman 1990): the hidden units see their own last values.

        h_t = σ(W_ih x_t + W_hh h_{t−1} + b),   h_0 = 0.5

    From the paper: the logistic units, and context units that begin at 0.5. Ours: the range of the initial weights,
    which the paper does not give, and the gradient, which here goes back through time; there it stopped at the context.

    Parameters
    ----------
    input_size, hidden_size : int
        E features in, H units.
    init_range : float
        Weights start uniform in ± this.
    start : float
        Value of the context units before the first token; halfway between the two ends of σ.
    """

    def __init__(self, input_size: int, hidden_size: int, init_range: float = 0.1, start: float = 0.5):
        super().__init__()
        self.input_size, self.hidden_size, self.start = input_size, hidden_size, start
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size).uniform_(-init_range, init_range))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size, hidden_size).uniform_(-init_range, init_range))
        self.bias = nn.Parameter(torch.zeros(hidden_size))

    def initial_state(self, batch_size: int) -> Tensor:
        """Return the context before the first token, (1, B, H)."""
        return self.bias.new_full((1, batch_size, self.hidden_size), self.start)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Read x (T, B, E) on from a state (1, B, H); return the hidden states (T, B, H) and the last (1, B, H)."""
        h = (self.initial_state(x.shape[1]) if state is None else state)[0]
        outputs = []
        for z in F.linear(x, self.weight_ih, self.bias):
            h = torch.sigmoid(z + h @ self.weight_hh.T)
            outputs.append(h)
        return torch.stack(outputs), h[None]


class BlockLSTM(nn.Module):
    """What the three LSTMs share: the weights, the loop over time, the blocks.

    A subclass names its gates, sets their first biases and writes one step in time.

    Parameters
    ----------
    input_size, hidden_size : int
        E features in; H cells, a multiple of the block size.
    block_size : int
        S, the cells that share a gate.
    init_range : float
        Weights start uniform in ± this.

    Raises
    ------
    LMTutorError
        When the cells do not fill whole blocks.
    """

    gates: tuple[str, ...]

    def __init__(self, input_size: int, hidden_size: int, block_size: int, init_range: float):
        super().__init__()
        if hidden_size % block_size:
            raise LMTutorError(
                f"{hidden_size} cells do not fill blocks of {block_size}: choose a multiple, or block_size=1."
            )
        self.input_size, self.hidden_size, self.block_size = input_size, hidden_size, block_size
        self.blocks = hidden_size // block_size
        rows = len(self.gates) * self.blocks + hidden_size  # the gates, then the candidates
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size).uniform_(-init_range, init_range))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size).uniform_(-init_range, init_range))
        self.bias = nn.Parameter(torch.zeros(rows))

    def set_bias(self, gate: str, values: Tensor) -> None:
        """Give a gate its first biases, (H / S,)."""
        at = self.gates.index(gate) * self.blocks
        with torch.no_grad():
            self.bias[at : at + self.blocks] = values

    def spread(self, gate: Tensor) -> Tensor:
        """Copy each block's gate to its cells: (B, H / S) → (B, H)."""
        return gate.repeat_interleave(self.block_size, dim=-1)

    def initial_state(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """Return h and c before the first token: zeros, (1, B, H) each."""
        zeros = self.bias.new_zeros(1, batch_size, self.hidden_size)
        return zeros, zeros

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Read x (T, B, E) on from (h, c), (1, B, H) each; return the outputs h (T, B, H) and the last (h, c)."""
        h, c = (part[0] for part in (self.initial_state(x.shape[1]) if state is None else state))
        sizes = [self.blocks] * len(self.gates) + [self.hidden_size]
        outputs = []
        for z in F.linear(x, self.weight_ih, self.bias):
            h, c = self.step(c, *(z + h @ self.weight_hh.T).split(sizes, dim=-1))
            outputs.append(h)
        return torch.stack(outputs), (h[None], c[None])

    def step(self, c: Tensor, *z: Tensor) -> tuple[Tensor, Tensor]:
        """Go one step: c (B, H), net inputs of the gates (B, H / S) and of the candidate (B, H) → new h, c."""
        raise TypeError(f"{type(self).__name__} has to define step")


class LSTM1997(BlockLSTM):
    """The first LSTM (Hochreiter and Schmidhuber 1997): a cell adds up what its input gate lets in, for ever.

        c_t = c_{t−1} + i_t · g(z_t),   h_t = o_t · h(c_t)

    No forget gate: the error carousel has a weight of exactly 1. From the paper, experiment 1 (the embedded Reber
    grammar): weights in ± 0.2; output gates with biases −1, −2, −3, −4, so that cells come into use one after another;
    blocks of two cells; g from −2 to 2 and h from −1 to 1. (Its experiments 4 to 6 bias the *input* gates instead.)
    Ours: gates and candidates read the outputs of all cells, but not those of the other gates; candidates have a bias.
    """

    gates = ("input", "output")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        block_size: int = 2,
        init_range: float = 0.2,
        output_bias: float = -1.0,
    ):
        super().__init__(input_size, hidden_size, block_size, init_range)
        self.set_bias("output", stairs(self.blocks, output_bias))

    def step(self, c: Tensor, *z: Tensor) -> tuple[Tensor, Tensor]:
        i, o = (self.spread(torch.sigmoid(gate)) for gate in z[:2])
        c = c + i * squash_in(z[2])
        return o * squash_out(c), c


class LSTM2000(BlockLSTM):
    """The LSTM with forget gates (Gers, Schmidhuber and Cummins 2000): a cell can be emptied.

        c_t = f_t · c_{t−1} + i_t · g(z_t),   h_t = o_t · h(c_t)

    From the paper, experiment 1 (the continual Reber grammar): four blocks of two cells; weights in ± 0.2; input and
    output gates with biases −0.5, −1, −1.5, −2 from block to block, forget gates with +0.5, +1, +1.5, +2: closed to
    noise, and remembering. Ours: candidates have a bias, which begins at 0. With c' = c / 2 and halved candidate
    weights this is `torch.nn.LSTM`.
    """

    gates = ("input", "forget", "output")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        block_size: int = 2,
        init_range: float = 0.2,
        bias_step: float = 0.5,
    ):
        super().__init__(input_size, hidden_size, block_size, init_range)
        for gate, sign in (("input", -1), ("forget", 1), ("output", -1)):
            self.set_bias(gate, stairs(self.blocks, sign * bias_step))

    def step(self, c: Tensor, *z: Tensor) -> tuple[Tensor, Tensor]:
        i, f, o = (self.spread(torch.sigmoid(gate)) for gate in z[:3])
        c = f * c + i * squash_in(z[3])
        return o * squash_out(c), c


class LSTM2002(BlockLSTM):
    """The LSTM with peepholes (Gers, Schraudolph and Schmidhuber 2002): the gates see the cells they guard.

        i_t = σ(… + p_i · c_{t−1}),   f_t = σ(… + p_f · c_{t−1})
        c_t = f_t · c_{t−1} + i_t · g(z_t)
        o_t = σ(… + p_o · c_t),   h_t = o_t · h(c_t)

    From the paper, section 4.1: blocks of one cell; weights in ± 0.1; biases of 0 for the input gate, −2 for the
    forget gate and +2 for the output gate. The cell begins by forgetting, the opposite of the paper of 2000. Its
    networks have one cell, and neither g nor h: that is ``squash=False``. Ours: g and h of the older papers, since
    dozens of cells that feed each other sums without bound diverge within a hundred steps of training.
    """

    gates = ("input", "forget", "output")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        block_size: int = 1,
        init_range: float = 0.1,
        forget_bias: float = -2.0,
        output_bias: float = 2.0,
        squash: bool = True,
    ):
        super().__init__(input_size, hidden_size, block_size, init_range)
        self.squash = squash
        self.set_bias("forget", torch.full((self.blocks,), forget_bias))
        self.set_bias("output", torch.full((self.blocks,), output_bias))
        self.peepholes = nn.Parameter(torch.empty(3, hidden_size).uniform_(-init_range, init_range))

    def peep(self, weight: Tensor, c: Tensor) -> Tensor:
        """Return what the cells of each block tell its gate: weight (H,), c (B, H) → (B, H / S)."""
        return (weight * c).unflatten(-1, (self.blocks, self.block_size)).sum(-1)

    def step(self, c: Tensor, *z: Tensor) -> tuple[Tensor, Tensor]:
        p_i, p_f, p_o = self.peepholes
        i = self.spread(torch.sigmoid(z[0] + self.peep(p_i, c)))
        f = self.spread(torch.sigmoid(z[1] + self.peep(p_f, c)))
        c = f * c + i * (squash_in(z[3]) if self.squash else z[3])
        o = self.spread(torch.sigmoid(z[2] + self.peep(p_o, c)))
        return o * (squash_out(c) if self.squash else c), c


CELLS: dict[str, Callable[[int, int], nn.Module]] = {
    "elman-1990": Elman1990,
    "lstm-1997": LSTM1997,
    "lstm-2000": LSTM2000,
    "lstm-2002": LSTM2002,
}
#: What a cell takes after the range of its weights.
BIASES = {
    "elman-1990": ("start",), "lstm-1997": ("output_bias",), "lstm-2000": ("bias_step",),
    "lstm-2002": ("forget_bias", "output_bias"),
}  # fmt: skip


def make_cell(
    name: str, input_size: int, hidden_size: int, block_size: int = 0, init_range: float = 0.0, biases: tuple = ()
) -> nn.Module:
    """A cell of `CELLS`; what is 0 or empty is the paper's, `biases` are those of `BIASES`."""
    chosen = {key: value for key, value in dict(block_size=block_size, init_range=init_range).items() if value}
    return CELLS[name](input_size, hidden_size, **chosen, **dict(zip(BIASES[name], biases, strict=bool(biases))))


def parameter_count(module: nn.Module) -> int:
    """Return how many numbers a module learns."""
    return sum(p.numel() for p in module.parameters())


def hidden_for(make: Callable[[int], nn.Module], budget: int, multiple_of: int = 1) -> int:
    """Return the largest hidden size whose module stays within a budget of parameters.

    Parameters
    ----------
    make : callable
        Hidden size → module, for instance ``lambda h: CELLS["lstm-1997"](64, h)`` or a whole language model.
    budget : int
        The most parameters allowed.
    multiple_of : int
        Only multiples of this are tried: the block size.

    Raises
    ------
    LMTutorError
        When even the smallest size is over the budget.
    """

    def fits(units: int) -> bool:
        with torch.device("meta"):  # shapes only, no memory
            return parameter_count(make(units * multiple_of)) <= budget

    if not fits(1):
        raise LMTutorError(f"hidden_for: {budget:,} parameters are too few for {multiple_of} hidden units.")
    low, high = 1, 2
    while fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low * multiple_of
