"""A small problem in which every parameter of a hand-written model matters."""

import numpy as np
import pytest

V, H, T, B = 5, 4, 7, 3


@pytest.fixture
def problem():
    """Return inputs (T, B), targets (T, B) and a function that fills a model's parameters at random."""
    rng = np.random.default_rng(7)
    x, y = rng.integers(V, size=(2, T, B))

    def fill(model):
        for theta in model.params.values():
            theta[...] = rng.normal(0, 0.5, theta.shape)
        state = model.initial_state(B)
        if isinstance(state, tuple):
            return model, tuple(rng.normal(0, 0.5, part.shape) for part in state)
        return model, rng.normal(0, 0.5, state.shape)

    return x, y, fill
