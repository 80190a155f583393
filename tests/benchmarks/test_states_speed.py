"""The layers of chapter 09 beside torch's GRU of the same width, in processor time, pairs in one run."""

import pytest
import torch
from torch import nn

from tests.benchmarks.bench_states import LAYERS, WIDTH, pair


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_at_least_as_fast_as_torchs_gru_from_256_steps_on(name):
    torch.manual_seed(0)
    ours, gru = pair([LAYERS[name](), nn.GRU(WIDTH, WIDTH)], steps=256, batch=1, rounds=9)
    assert ours <= gru
